//! Foreign text, sizes and times, ready for a page.

use std::time::Duration;

use bytesize::ByteSize;
use cache_core::Timestamp;

/// How many characters of foreign text are shown.
const LENGTH: usize = 300;

/// Foreign text without what HTML forbids, cut to a length. Escaping is the template's.
pub(crate) fn clean(text: &str) -> String {
    shortened(text, LENGTH)
}

/// The same, cut to fewer characters.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    let mut out: String = text.chars().take(length).map(shown).collect();
    if text.chars().nth(length).is_some() {
        out.push('…');
    }
    out
}

/// Control characters, and those that turn the direction of what follows, are replaced.
fn shown(c: char) -> char {
    let is_noncharacter = (u32::from(c) & 0xfffe) == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    let turns = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    if c.is_control() || is_noncharacter || turns { '\u{fffd}' } else { c }
}

/// Bytes in binary units.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// How long before `now` a time was, in one unit.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    if time.is_zero() {
        return "of unknown age".to_owned();
    }
    let seconds = now.since(time).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A time to the second.
pub(crate) fn date(time: Timestamp) -> String {
    let text = time.to_string();
    let (seconds, zone) = text.split_once('.').unwrap_or((&text, ""));
    let zone = zone.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{seconds}{zone}").replacen('T', " ", 1).replace('Z', " UTC")
}

/// A duration.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A number and its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The first characters of a digest's hexadecimal part.
pub(crate) fn short(digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    shortened(hex, 12).trim_end_matches('…').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_html_forbids_is_replaced_and_long_text_is_cut() {
        assert_eq!(clean("a\0b\u{1b}[31m\u{202e}c\u{fffe}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}c\u{fffd}");
        assert_eq!(shortened("abcdef", 3), "abc…");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
    }

    #[test]
    fn dates_are_to_the_second() {
        let date = |text: &str| date(text.parse().unwrap());
        assert_eq!(date("2026-11-29T06:30:53.724131618Z"), "2026-11-29 06:30:53 UTC");
        assert_eq!(date("2026-11-29T06:30:53Z"), "2026-11-29 06:30:53 UTC");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        let cases = [(5, "5ms"), (1_500, "1.5s"), (90_000, "1m30s"), (7_260_000, "2h1m")];
        for (millis, text) in cases {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
