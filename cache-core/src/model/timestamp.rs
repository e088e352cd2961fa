//! Points in time as Go writes them into JSON.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time with the offset it was written with (RFC 3339, up to nine fractional digits).
///
/// Equality and order are those of the instant; the text keeps its offset, since BuildKit writes a record's time in the
/// daemon's local zone. The zero time of Go, `0001-01-01T00:00:00Z`, means "unknown" and really occurs.
///
/// ```
/// use cache_core::Timestamp;
///
/// let time: Timestamp = "2026-11-23T12:44:08.5600+05:30".parse().unwrap();
/// assert_eq!(time.to_string(), "2026-11-23T12:44:08.56+05:30");
/// assert!(Timestamp::ZERO < time);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// The text is not a time that Go's JSON decoder accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTimestamp(String);

impl std::error::Error for InvalidTimestamp {}

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid time {:?}; expected RFC 3339, like 2026-11-23T12:44:08Z", self.0)
    }
}

impl Timestamp {
    /// Go's zero time, which stands for "unknown".
    pub const ZERO: Self = Self(OffsetDateTime::new_utc(
        match time::Date::from_calendar_date(1, time::Month::January, 1) {
            Ok(date) => date,
            Err(_) => time::Date::MIN,
        },
        time::Time::MIDNIGHT,
    ));

    /// The current time in UTC.
    #[must_use]
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// Whether this is the time that stands for "unknown".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Seconds from the Unix epoch, negative before it.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.0.unix_timestamp()
    }

    /// The instant this long before; the unknown time at the start of the calendar.
    #[must_use]
    pub fn saturating_sub(self, time: std::time::Duration) -> Self {
        let before = time::Duration::try_from(time).ok().and_then(|time| self.0.checked_sub(time));
        before.filter(|before| before.year() >= 0).map_or(Self::ZERO, Self)
    }

    /// How long this is after `earlier`; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }

    /// The year that is written.
    pub fn year(&self) -> i32 {
        self.0.year()
    }

    /// The same instant, written in UTC; at the very ends of the calendar, where UTC has no such year, as it was.
    #[must_use]
    pub fn to_utc(self) -> Self {
        let utc = self.0.checked_to_offset(time::UtcOffset::UTC);
        Self(utc.filter(|utc| (0..=9999).contains(&utc.year())).unwrap_or(self.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// A time that RFC 3339 cannot express becomes the unknown one.
    fn from(at: SystemTime) -> Self {
        let since_epoch = match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => time::Duration::try_from(after).ok(),
            Err(before) => time::Duration::try_from(before.duration()).ok().map(|before| -before),
        };
        let found = since_epoch.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since));
        found.filter(|found| found.year() >= 0).map_or(Self::ZERO, Self)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = plain(text) {
            return Ok(Self(time));
        }
        let invalid = || InvalidTimestamp(text.chars().take(64).collect());
        let strict = as_strict(text);
        let text = &*strict;
        let bytes = text.as_bytes();
        // `time` also takes `t`, `z` and a leap second, which Go refuses; Go takes a comma before the fraction.
        let is_strict = bytes.get(10) == Some(&b'T') && !text.ends_with('z') && bytes.get(17) != Some(&b'6');
        if !is_strict {
            return Err(invalid());
        }
        let parsed = match far_offset(text) {
            Some((utc, offset)) => OffsetDateTime::parse(&utc, &Rfc3339).map(|time| time.checked_sub(offset)),
            None => OffsetDateTime::parse(text, &Rfc3339).map(Some),
        };
        let is_written = |time: &OffsetDateTime| (0..=9999).contains(&time.year());
        parsed.ok().flatten().filter(is_written).map(Self).ok_or_else(invalid)
    }
}

/// A time in UTC as it nearly always is written: a config has one in each record. Any other goes the long way.
fn plain(text: &str) -> Option<OffsetDateTime> {
    let (seconds, rest) = text.as_bytes().split_at_checked(19)?;
    let [a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n] = *seconds else { return None };
    let pair = |tens: u8, ones: u8| u8::try_from(number(&[tens, ones])?).ok();
    let nanoseconds = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            digits.iter().chain([b'0'; 9].iter()).take(9).try_fold(0, add_digit)?
        }
        _ => return None,
    };
    let year = i32::try_from(number(&[a, b, c, d])?).ok()?;
    let date = time::Date::from_calendar_date(year, time::Month::try_from(pair(e, f)?).ok()?, pair(g, h)?).ok()?;
    let time = time::Time::from_hms_nano(pair(i, j)?, pair(k, l)?, pair(m, n)?, nanoseconds).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

/// A time in UTC as RFC 3339, and how long that is: the zeros at the end of the fraction are left out.
fn written(time: &OffsetDateTime) -> ([u8; 30], usize) {
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let ((year, month, day), (hour, minute, second, nanoseconds)) = (time.to_calendar_date(), time.to_hms_nano());
    put(&mut text[..4], year.unsigned_abs());
    let pairs = [u8::from(month), day, hour, minute, second];
    pairs.into_iter().zip([5, 8, 11, 14, 17]).for_each(|(pair, at)| put(&mut text[at..at + 2], pair.into()));
    put(&mut text[20..29], nanoseconds);
    let zeros = text[20..29].iter().rev().take_while(|digit| **digit == b'0').count();
    let end = if zeros == 9 { 19 } else { 29 - zeros };
    text[end] = b'Z';
    (text, end + 1)
}

fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, add_digit)
}

/// `number` has at most eight digits.
fn add_digit(number: u32, digit: &u8) -> Option<u32> {
    digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
}

/// RFC 3339 of what Go takes besides: an hour of one digit, a comma before the fraction.
fn as_strict(text: &str) -> Cow<'_, str> {
    let mut strict = Cow::Borrowed(text);
    if text.as_bytes().get(10) == Some(&b'T') && text.as_bytes().get(12) == Some(&b':') && text.is_char_boundary(11) {
        strict.to_mut().insert(11, '0');
    }
    if strict.as_bytes().get(19) == Some(&b',') {
        strict = Cow::Owned(strict.replacen(',', ".", 1));
    }
    strict
}

/// A time with an offset that RFC 3339 cannot write and Go takes, up to `24:60`: as if it were UTC, and the offset.
fn far_offset(text: &str) -> Option<(String, time::Duration)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let [sign @ (b'+' | b'-'), a, b, b':', c, d] = offset.as_bytes() else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let (hours, minutes) = (digit(a)? * 10 + digit(b)?, digit(c)? * 10 + digit(d)?);
    let is_far = hours <= 24 && minutes <= 60 && (hours == 24 || minutes == 60);
    let offset = time::Duration::minutes(hours * 60 + minutes);
    is_far.then(|| (format!("{local}Z"), if *sign == b'-' { -offset } else { offset }))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.offset() == time::UtcOffset::UTC {
            let (text, length) = written(&self.0);
            return f.pad(str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?);
        }
        // A value is parsed from RFC 3339, or is a system time after year 0: it can be written as RFC 3339.
        f.pad(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

debug_as_text!(Timestamp);

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

serialize_as_text!(Timestamp);

impl<'de> Deserialize<'de> for Timestamp {
    /// `null` is the zero time, as in Go.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => text.parse().map_err(serde::de::Error::custom),
            None => Ok(Self::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_from_any_source() {
        let read: Timestamp = serde_json::from_reader(&b"\"2026-11-23T12:44:08Z\""[..]).unwrap();
        assert_eq!(read.to_string(), "2026-11-23T12:44:08Z");
        assert_eq!(serde_json::from_value::<Timestamp>(serde_json::Value::Null).unwrap(), Timestamp::ZERO);
    }

    #[test]
    fn times_of_go_survive_a_round_trip() {
        for text in [
            "0001-01-01T00:00:00Z",
            "2026-11-23T12:44:08.569712334+05:30",
            "2026-11-23T07:40:36.5Z",
            "2026-11-23T08:33:51.04+01:00",
            "9999-12-31T23:59:59.999999999Z",
            "2026-11-23T08:33:51-11:00",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_plain_time_is_read_and_written_as_any_other() {
        for text in [
            "2026-11-23T12:44:08.569712334Z",
            "2026-11-23T07:40:36.5Z",
            "2024-02-29T23:59:59Z",
            "0000-01-01T00:00:00.000000001Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            let parsed = OffsetDateTime::parse(text, &Rfc3339).unwrap();
            assert_eq!(plain(text), Some(parsed), "{text}");
            assert_eq!(Timestamp(parsed).to_string(), parsed.format(&Rfc3339).unwrap());
        }
        for text in [
            "2026-11-23T12:44:08+05:30",
            "2026-11-23T07:40:36.1234567891Z",
            "2026-11-23T07:40:36.Z",
            "2026-11-23T07:40:60Z",
            "2026-11-23T24:40:00Z",
            "2025-02-29T23:59:59Z",
            "2026-1a-23T07:40:36Z",
            "2026-11-23T07:40:36",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn trailing_zeros_are_trimmed_and_a_comma_is_a_point() {
        assert_eq!("2026-11-23T07:40:36.500Z".parse::<Timestamp>().unwrap().to_string(), "2026-11-23T07:40:36.5Z");
        assert_eq!("2026-11-23T07:40:36,5Z".parse::<Timestamp>().unwrap().to_string(), "2026-11-23T07:40:36.5Z");
    }

    #[test]
    fn sloppy_times_are_accepted_as_in_go() {
        for (sloppy, strict) in [
            ("2026-11-23T7:40:36Z", "2026-11-23T07:40:36Z"),
            ("2026-11-23T7:40:36,25+01:00", "2026-11-23T07:40:36.25+01:00"),
            ("2026-11-23T07:40:36.12345678999Z", "2026-11-23T07:40:36.123456789Z"),
            ("2026-11-23T07:40:36+24:00", "2026-11-22T07:40:36Z"),
            ("2026-11-23T07:40:36-00:60", "2026-11-23T08:40:36Z"),
        ] {
            assert_eq!(sloppy.parse::<Timestamp>().unwrap().to_string(), strict);
        }
        for bad in ["2026-11-23T07:40:36+25:00", "2026-11-23T07:40:36+00:61", "0000-01-01T00:00:00+24:00"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_times_are_refused_as_in_go() {
        for text in
            ["", "2026", "2026-11-23t07:40:36Z", "2026-11-23T07:40:36z", "2026-11-23T07:40:60Z", "2026-11-23 07:40:36Z"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_system_time_beyond_the_calendar_is_unknown() {
        let second = std::time::Duration::from_secs(1);
        for far in
            [SystemTime::UNIX_EPOCH + second * (1 << 30) * 512, SystemTime::UNIX_EPOCH - second * (1 << 30) * 512]
        {
            assert!(Timestamp::from(far).is_zero());
        }
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - second).to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_time_before_the_calendar_is_unknown() {
        let time: Timestamp = "2026-11-23T12:00:00+05:00".parse().unwrap();
        let hour = std::time::Duration::from_secs(3600);
        assert_eq!(time.saturating_sub(hour).to_string(), "2026-11-23T11:00:00+05:00");
        assert!(time.saturating_sub(hour * 24 * 366 * 2100).is_zero());
        assert!(time.saturating_sub(std::time::Duration::MAX).is_zero());
    }

    #[test]
    fn the_time_between_two_instants_is_never_negative() {
        let (earlier, later): (Timestamp, Timestamp) =
            ("2026-11-23T12:00:00+05:00".parse().unwrap(), "2026-11-23T07:00:00.25Z".parse().unwrap());
        assert_eq!(later.since(earlier), std::time::Duration::from_millis(250));
        assert_eq!(earlier.since(later), std::time::Duration::ZERO);
        let end: Timestamp = "9999-12-31T23:59:59-23:59".parse().unwrap();
        assert!(end.since(Timestamp::ZERO).as_secs() > 300_000_000_000);
    }

    #[test]
    fn order_is_that_of_the_instant() {
        let east: Timestamp = "2026-11-23T12:00:00+05:00".parse().unwrap();
        let utc: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
        assert_eq!(east, utc);
        assert_eq!(east.to_utc().to_string(), "2026-11-23T07:00:00Z");
    }
}
