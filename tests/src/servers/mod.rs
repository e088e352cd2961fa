//! Servers: those that run inside the tests and log every request, and real ones that the tests start.

#[cfg(feature = "gha")]
pub mod actions;
#[cfg(feature = "registry")]
pub mod docker_registry;
#[cfg(feature = "gha")]
pub mod emulator;
#[cfg(feature = "gha")]
pub mod exchange;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod http;
#[cfg(feature = "registry")]
pub mod registry;
