//! Servers: those that run inside the tests, with a log of all requests, and real ones that the tests start.

#[cfg(feature = "gha")]
pub mod actions;
#[cfg(feature = "azblob")]
pub mod azblob;
#[cfg(feature = "azblob")]
pub mod azurite;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod certificates;
#[cfg(feature = "registry")]
pub mod docker_registry;
#[cfg(feature = "gha")]
pub mod emulator;
#[cfg(feature = "gha")]
pub mod exchange;
#[cfg(feature = "registry")]
pub mod front;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod http;
#[cfg(any(feature = "azblob", feature = "gha", feature = "s3"))]
pub mod installed;
#[cfg(any(feature = "azblob", feature = "registry", feature = "s3"))]
pub mod made_up;
#[cfg(feature = "s3")]
pub mod moto;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod relay;
#[cfg(feature = "s3")]
pub mod s3;
pub mod thief;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod tls;
