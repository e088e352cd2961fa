//! The meaning of HTTP status codes.

use crate::error::ErrorKind;

impl ErrorKind {
    /// The kind of an answer with this status, where the body says no more. A backend maps the codes of its service first.
    ///
    /// ```
    /// use cache_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::from_status(412), ErrorKind::Conflict);
    /// assert_eq!(ErrorKind::from_status(503), ErrorKind::Unavailable);
    /// ```
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            409 | 412 => Self::Conflict,
            413 => Self::LimitExceeded,
            429 => Self::RateLimited,
            501 => Self::Unsupported,
            408 | 500.. => Self::Unavailable,
            _ => Self::Unsupported,
        }
    }
}
