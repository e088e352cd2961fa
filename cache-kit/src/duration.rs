//! Durations as Go writes them: `24h`, `1h30m`, `1.5s`.

#![warn(clippy::arithmetic_side_effects)]

use std::str::FromStr;
use std::time::Duration;

use cache_core::Result;
use cache_core::spec::Attrs;

/// A duration as Go's `time.ParseDuration` reads it, but a negative one, which no attribute takes.
///
/// ```
/// use std::time::Duration;
///
/// use cache_core::CacheSpec;
/// use cache_kit::GoDuration;
///
/// let spec = CacheSpec::new("gha").with("timeout", "1h30m");
/// assert_eq!(GoDuration::of(&mut spec.attrs(), "timeout")?, Some(Duration::from_secs(5400)));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// The duration of an attribute, when it is given.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for any other text, a number without a unit included.
    pub fn of(attrs: &mut Attrs<'_>, name: &'static str) -> Result<Option<Duration>> {
        let given: Option<Self> = attrs.parse(name, "a number with a unit, like 24h or 1h30m")?;
        Ok(given.map(|Self(duration)| duration))
    }
}

impl FromStr for GoDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        parse(text).map(Self).ok_or(NotADuration)
    }
}

/// The text is not a duration of Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADuration;

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(scaled(number, unit)?)?;
        rest = tail;
    }
    // What Go can hold.
    i64::try_from(total.as_nanos()).ok().map(|_| total)
}

/// `number` times `unit`, the fraction cut at a nanosecond as in Go.
fn scaled(number: &str, unit: &str) -> Option<Duration> {
    let nanos: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // More digits than these are below a nanosecond in any unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok().map(u128::from) };
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = parse(fraction)?.checked_mul(nanos)?.checked_div(scale)?;
    let total = parse(whole)?.checked_mul(nanos)?.checked_add(fraction)?;
    u64::try_from(total).ok().filter(|&total| i64::try_from(total).is_ok()).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let cases = [
            ("0", 0),
            ("24h", 86_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1us1ns", 1_001),
            ("2µs", 2_000),
            ("0.1ns", 0),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_refused_as_in_go() {
        for text in
            ["", "24", "1d", "1h 30m", "h", ".s", "1..5s", "-1h", "1e3s", "9999999h", "+", "99999999999999999999h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
