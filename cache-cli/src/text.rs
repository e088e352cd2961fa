//! Sizes, ages and counts as text for people.

use std::time::Duration;

use bytesize::ByteSize;
use cache_core::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Bytes in binary units: `1.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// The age of a time at `now`, in one unit; `0s` for a future time.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.unix_seconds().saturating_sub(time.unix_seconds())).unwrap_or(0);
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// A time; `None` for Go's zero time, which stands for an unknown one.
pub(crate) fn known(time: Timestamp) -> Option<Timestamp> {
    Some(time).filter(|time| !time.is_zero())
}

/// How long ago a time was.
pub(crate) fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    time.and_then(known).map_or_else(|| "at an unknown time".to_owned(), |time| format!("{} ago", age(time, now)))
}

/// A time and its age; `-` if it is unknown.
pub(crate) fn time_and_age(time: Option<Timestamp>, now: Timestamp) -> String {
    time.and_then(known).map_or_else(|| "-".to_owned(), |time| format!("{time} ({} ago)", age(time, now)))
}

/// A duration.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..MINUTE => format!("{:.1}s", time.as_secs_f64()),
        MINUTE..HOUR => format!("{}m{}s", seconds / MINUTE, seconds % MINUTE),
        _ => format!("{}h{}m", seconds / HOUR, seconds % HOUR / MINUTE),
    }
}

/// A number and its noun: `1 blob`, `2 blobs`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Escapes characters that control a terminal or disguise the text.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Characters that change the direction of others, or are invisible
/// ([Unicode TR 36](https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing)).
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_with_one_decimal() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_288_490_189, "1.2 GiB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-23T12:00:00Z");
        let cases = [
            ("2026-11-23T11:59:18Z", "42s"),
            ("2026-11-23T11:10:00Z", "50m"),
            ("2026-11-22T13:00:00Z", "23h"),
            ("2026-11-16T12:00:00+00:00", "7d"),
            ("2026-11-23T13:00:00Z", "0s"),
        ];
        for (at, text) in cases {
            assert_eq!(age(time(at), now), text);
        }
    }

    #[test]
    fn a_zero_time_has_no_age() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(time_and_age(Some(Timestamp::ZERO), now), "-");
        assert_eq!(ago(Some(Timestamp::ZERO), now), "at an unknown time");
        assert_eq!(ago(Some(now), now), "0s ago");
        assert_eq!(known(Timestamp::ZERO), None);
    }

    #[test]
    fn durations_show_two_units_at_most() {
        let cases = [(1_500, "1.5s"), (90_000, "1m30s"), (7_260_000, "2h1m")];
        for (millis, text) in cases {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\nb é"), "a\\u{1b}[31m\\nb é");
    }

    #[test]
    fn text_cannot_be_disguised() {
        assert_eq!(printable("main\u{202e}txt\u{2066}\u{200b} عربي"), "main\\u{202e}txt\\u{2066}\\u{200b} عربي");
    }
}
