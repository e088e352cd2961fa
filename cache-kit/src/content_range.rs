//! `Content-Range`: which part of a whole a server sends.

#![warn(clippy::arithmetic_side_effects)]

/// The value of a `Content-Range` header
/// ([RFC 9110, section 14.4](https://www.rfc-editor.org/rfc/rfc9110.html#section-14.4)), as far as it can be read.
///
/// ```
/// use cache_kit::ContentRange;
///
/// let range = ContentRange::parse("bytes 5-9/10");
/// assert_eq!((range.start, range.total), (Some(5), Some(10)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentRange {
    /// The offset of the first byte; `None` if nothing is sent.
    pub start: Option<u64>,
    /// The bytes of the whole; `None` for `*`.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the value of the header.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let first = value.strip_prefix("bytes ").and_then(|range| range.split('-').next());
        let total = value.rsplit_once('/').map(|(_, total)| total);
        let number = |text: &str| text.trim().parse().ok();
        Self { start: first.and_then(number), total: total.and_then(number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> (Option<u64>, Option<u64>) {
        let range = ContentRange::parse(value);
        (range.start, range.total)
    }

    #[test]
    fn a_range_has_a_start_and_a_total() {
        assert_eq!(parsed("bytes 5-9/10"), (Some(5), Some(10)));
        assert_eq!(parsed("bytes 5-9/*"), (Some(5), None));
        assert_eq!(parsed("bytes */10"), (None, Some(10)));
    }

    #[test]
    fn invalid_parts_are_none() {
        assert_eq!(parsed("bytes 5-9"), (Some(5), None));
        assert_eq!(parsed("5-9/10"), (None, Some(10)));
        assert_eq!(parsed(""), (None, None));
    }
}
