//! How long ago something was written.

use cache_core::Timestamp;

/// The seconds since `then`.
pub(crate) fn age(then: Timestamp) -> i64 {
    Timestamp::now().unix_seconds().saturating_sub(then.unix_seconds())
}
