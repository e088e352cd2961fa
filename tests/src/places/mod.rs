//! The places that the suite runs on, one file for each backend.

#[cfg(feature = "local")]
mod local;
mod memory;

#[cfg(feature = "local")]
pub use self::local::{Local, temporary_files, wrong_blobs};
pub use self::memory::Memory;
