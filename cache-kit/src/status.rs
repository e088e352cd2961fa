//! What an HTTP status means.

use cache_core::ErrorKind;

/// The kind of an answer with this status, if the body tells no more. A backend maps the codes of its service first.
///
/// ```
/// use cache_core::ErrorKind;
/// use cache_kit::kind_of_status;
///
/// assert_eq!(kind_of_status(412), ErrorKind::Conflict);
/// assert_eq!(kind_of_status(503), ErrorKind::Unavailable);
/// ```
#[must_use]
pub fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        413 => ErrorKind::LimitExceeded,
        429 => ErrorKind::RateLimited,
        501 => ErrorKind::Unsupported,
        408 | 500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Unsupported,
    }
}
