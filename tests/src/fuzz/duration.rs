//! Durations, as an attribute of a spec holds them.

use cache_core::CacheSpec;

/// What is read as a duration is the same after a trip through nanoseconds.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| CacheSpec::new("x").with("wait", text).attrs().duration("wait");
    let Ok(Some(wait)) = read(text) else { return };
    assert!(i64::try_from(wait.as_nanos()).is_ok(), "Go has no such duration");
    let again = read(&format!("{}ns", wait.as_nanos())).expect("nanoseconds are a duration");
    assert_eq!(again, Some(wait));
}
