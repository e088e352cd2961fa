//! `Retry-After`: how long a server asks to wait.

#![warn(clippy::arithmetic_side_effects)]

use std::time::Duration;

use cache_core::model::Timestamp;
use time::{Date, Month, Time};

/// Reads the value of a `Retry-After` header, which is a number of seconds or a date
/// ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110.html#section-10.2.3)).
///
/// A date may be in any of the three forms of HTTP; the wait is from `now` to it, in whole seconds rounded up. `None`
/// for anything else, and for a date that has passed, which leaves the wait to the policy: clocks differ.
///
/// ```
/// use std::time::Duration;
///
/// use cache_core::Timestamp;
/// use cache_kit::parse_retry_after;
///
/// let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
/// let half_a_minute = Some(Duration::from_secs(30));
/// assert_eq!(parse_retry_after("30", now), half_a_minute);
/// assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), half_a_minute);
/// ```
#[must_use]
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = unix_seconds(value, now)?.checked_sub(now.unix_seconds())?;
    u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_secs)
}

/// The three forms differ in the order of their words and in what stands between them.
fn unix_seconds(text: &str, now: Timestamp) -> Option<i64> {
    let words: Vec<&str> = text.split([' ', ',', '-', ':']).filter(|word| !word.is_empty()).take(9).collect();
    let (year, month, day, clock) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, hour, minute, second, "GMT"] => (year, month, day, [hour, minute, second]),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, hour, minute, second, year] => (year, month, day, [hour, minute, second]),
        _ => return None,
    };
    let date = Date::from_calendar_date(full_year(year, now)?, month_of(month)?, day.parse().ok()?).ok()?;
    let [hour, minute, second] = clock.map(str::parse);
    // A leap second counts as the second before it.
    let time = Time::from_hms(hour.ok()?, minute.ok()?, second.ok().map(|second: u8| second.min(59))?).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

/// A year of two digits is the latest one that is not more than 50 years ahead.
fn full_year(text: &str, now: Timestamp) -> Option<i32> {
    let year: i32 = text.parse().ok()?;
    if text.len() != 2 {
        return Some(year);
    }
    let latest = now.year().checked_add(50)?;
    latest.checked_sub(latest.checked_sub(year)?.checked_rem_euclid(100)?)
}

fn month_of(name: &str) -> Option<Month> {
    let mut months = std::iter::successors(Some(Month::January), |month| Some(month.next())).take(12);
    months.find(|month| month.to_string().get(..3) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<u64> {
        parse_retry_after(value, "1994-11-06T08:49:07.25Z".parse().unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_read() {
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 120 "), Some(120));
        assert_eq!(wait("18446744073709551615"), Some(u64::MAX));
    }

    /// The examples of RFC 9110, section 5.6.7.
    #[test]
    fn the_three_forms_of_a_date_are_read() {
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(wait(date), Some(30), "{date}");
        }
        assert_eq!(wait("Sat, 31 Dec 2016 23:59:60 GMT"), wait("Sat, 31 Dec 2016 23:59:59 GMT"));
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_50_years_ahead() {
        let year = |text| full_year(text, "2026-11-24T00:00:00Z".parse().unwrap());
        assert_eq!((year("26"), year("76"), year("77"), year("00")), (Some(2026), Some(2076), Some(1977), Some(2000)));
        assert_eq!(year("1994"), Some(1994));
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), None);
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }

    #[test]
    fn anything_else_is_no_wait() {
        for value in [
            "",
            "-1",
            "1.5",
            "soon",
            "99999999999999999999",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 2030 08:49:37 GMT",
            "Sun, 06 Nov 2030 24:49:37 GMT",
            "Sun, 06 Nov 99999999999 08:49:37 GMT",
            "Sun, 06 nov 2030 08:49:37 GMT",
            "a b c d e f g h i j k",
        ] {
            assert_eq!(wait(value), None, "{value}");
        }
    }
}
