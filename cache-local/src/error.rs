//! Errors of this backend: their kinds and context.

use std::io;
use std::path::Path;

use cache_core::{Error, ErrorKind};

use crate::KIND;

/// Maps a file system error to what failed on which path.
pub(crate) fn io(error: io::Error, message: &str, path: &Path) -> Error {
    on_path(Error::from_io(error, message), path)
}

/// Names the backend and the path.
pub(crate) fn on_path(error: Error, path: &Path) -> Error {
    error.with("backend", KIND).with("path", path.display())
}

/// Names the backend and the attribute.
pub(crate) fn on_attribute(error: Error, attribute: &str) -> Error {
    error.with("backend", KIND).with("attribute", attribute)
}

/// Makes an error about a path.
pub(crate) fn at(kind: ErrorKind, message: &str, path: &Path) -> Error {
    on_path(Error::new(kind, message), path)
}
