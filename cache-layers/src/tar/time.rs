//! Times of files as text.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// RFC 3339 in UTC, rounded to the second; `None` for the first second of 1970 and for years that the format lacks.
pub(crate) fn rfc3339(seconds: i64, nanoseconds: u32) -> Option<String> {
    if seconds == 0 {
        return None;
    }
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let rounded = if nanoseconds >= 500_000_000 { time.checked_add(Duration::SECOND)? } else { time };
    rounded.format(&Rfc3339).ok()
}
