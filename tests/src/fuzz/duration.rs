//! Durations, as an attribute of a spec holds them.

use cache_kit::GoDuration;

/// What is read as a duration is the same after a trip through nanoseconds.
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
