//! Durations in attributes of specs.

use cache_kit::GoDuration;

/// A duration that parses is equal to the one that is written in nanoseconds.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(GoDuration(wait)) = text.parse() else { return };
    assert!(i64::try_from(wait.as_nanos()).is_ok(), "Go has no such duration");
    let again = format!("{}ns", wait.as_nanos()).parse().expect("nanoseconds are a duration");
    assert_eq!(GoDuration(wait), again);
}
