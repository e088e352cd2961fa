//! Makes the errors of this backend.

use cache_core::{Error, ErrorKind};

use crate::KIND;

/// Makes an error of this backend.
pub(crate) fn inline(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, message).with("backend", KIND)
}
