//! Digests.

use cache_core::Digest;

/// A digest that parses is shown unchanged.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Digest>() {
        Ok(digest) => assert_eq!(digest.to_string(), text),
        Err(error) => assert!(error.to_string().len() < 2_000, "the error repeats the input"),
    }
}
