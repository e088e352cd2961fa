//! The errors of codecs.

use std::fmt;

use cache_core::{Error, ErrorKind};

/// An error that names the missing feature of this crate.
pub(crate) fn not_built_in(compression: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this program was built without {compression} compression"))
}

/// The bytes do not match their media type.
#[cfg(any(feature = "gzip", feature = "zstd"))]
pub(crate) fn broken(message: &str) -> Error {
    Error::new(ErrorKind::InvalidManifest, message)
}

/// The bytes end too early.
#[cfg(any(feature = "gzip", feature = "zstd"))]
pub(crate) fn ended_early() -> Error {
    broken("layer ends before it is complete")
}
