//! The places on which the suite runs, one file for each kind.

#[cfg(feature = "azblob")]
mod azblob;
#[cfg(feature = "azblob")]
mod azurite;
#[cfg(feature = "registry")]
mod docker_registry;
#[cfg(feature = "gha")]
pub mod gha;
#[cfg(feature = "gha")]
mod gha_emulator;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod hostile;
#[cfg(feature = "local")]
mod local;
mod memory;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod quirks;
#[cfg(feature = "registry")]
mod registry;
#[cfg(feature = "s3")]
mod s3;

#[cfg(feature = "azblob")]
pub use self::azblob::Azblob;
#[cfg(feature = "azblob")]
pub use self::azurite::Azurite;
#[cfg(feature = "registry")]
pub use self::docker_registry::DockerRegistry;
#[cfg(feature = "gha")]
pub use self::gha::Gha;
#[cfg(feature = "gha")]
pub use self::gha_emulator::GhaEmulator;
#[cfg(feature = "local")]
pub use self::local::{Local, temporary_files, wrong_blobs};
pub use self::memory::Memory;
#[cfg(any(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
use self::quirks::plans;
#[cfg(any(feature = "azblob", feature = "s3"))]
use self::quirks::whole;
#[cfg(feature = "registry")]
pub use self::registry::Registry;
#[cfg(feature = "s3")]
pub use self::s3::S3;

/// Converts the time of a file or an object.
#[cfg(any(feature = "azblob", feature = "gha", feature = "local", feature = "s3"))]
fn system_time(time: cache_core::Timestamp) -> std::time::SystemTime {
    let since = u64::try_from(time.unix_seconds()).expect("it is after 1970");
    std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since)
}
