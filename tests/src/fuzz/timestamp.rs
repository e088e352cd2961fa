//! Timestamps.

use cache_core::Timestamp;

/// A time that parses is shown as text that parses to the same, in its own offset and in UTC.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(time) = text.parse::<Timestamp>() else { return };
    for time in [time, time.to_utc()] {
        let shown = time.to_string();
        assert_eq!(shown.parse(), Ok(time), "{shown}");
        assert_eq!(shown.parse::<Timestamp>().map(|time| time.to_string()), Ok(shown));
    }
}
