//! Parses the values of flags.

use std::time::Duration;

use cache_kit::GoDuration;

use super::OutputForm;

/// Parses `table`, `json`, `dot`, or the name of a file.
pub(super) fn output_form(text: &str) -> Result<OutputForm, String> {
    match text {
        "" => Err("expected table, json, or for report the file to write".to_owned()),
        "table" => Ok(OutputForm::Table),
        "json" => Ok(OutputForm::Json),
        "dot" => Ok(OutputForm::Dot),
        path => Ok(OutputForm::File(path.into())),
    }
}

/// Parses a duration as in the attributes of a spec (`24h`, `1h30m`), with days in front if wanted (`7d`, `1d12h`).
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.parse::<u32>().map_err(|_| bad_duration())?, rest),
        None => (0, text),
    };
    let rest = if days > 0 && rest.is_empty() { "0" } else { rest };
    let GoDuration(rest) = rest.parse().map_err(|_| bad_duration())?;
    let total = Duration::from_secs(u64::from(days) * 86_400).saturating_add(rest);
    if total.is_zero() { Err("the time has to be more than zero".to_owned()) } else { Ok(total) }
}

/// Parses a duration that may be zero.
pub(super) fn grace(text: &str) -> Result<Duration, String> {
    if ["0", "0s"].contains(&text) { Ok(Duration::ZERO) } else { duration(text) }
}

/// Parses a size with or without a unit (`512MiB`, `2GB`, `1000`).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<bytesize::ByteSize>();
    parsed.map(|size| size.as_u64()).map_err(|_| "expected a number like 2GB or 512MiB".to_owned())
}

/// The message does not quote the value. If the value was forgotten, the flag takes the spec after it, which may hold a
/// secret.
fn bad_duration() -> String {
    "expected a number with a unit, like 90s, 1h30m or 7d".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go_and_days() {
        let cases = [("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("1d12h", 129_600), ("1.5s", 1)];
        for (text, seconds) in cases {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        assert_eq!((grace("0"), grace("1h")), (Ok(Duration::ZERO), Ok(Duration::from_secs(3_600))));
        for bad in ["", "0", "0s", "7", "d", "1.5d", "-1h", "7d1", "1w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units_of_both_kinds() {
        for (text, bytes) in [("1000", 1_000), ("2GB", 2_000_000_000), ("512MiB", 536_870_912), ("0", 0)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GB", "-1", "2XB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
