//! Ages as colours: five shades, each a class of the style sheet.

use cache_core::Timestamp;

/// The shades, each with its longest age in days.
const SHADES: [(u64, &str, &str); 4] = [
    (1, "age0", "up to a day"),
    (7, "age1", "up to a week"),
    (30, "age2", "up to a month"),
    (90, "age3", "up to three months"),
];
const OLDEST: (&str, &str) = ("age4", "older");
const UNKNOWN: (&str, &str) = ("age-none", "unknown");

/// The class of an age.
pub(crate) fn class(time: Option<Timestamp>, now: Timestamp) -> &'static str {
    let Some(time) = time.filter(|time| !time.is_zero()) else { return UNKNOWN.0 };
    let days = now.since(time).as_secs() / 86_400;
    SHADES.iter().find(|(most, _, _)| days < *most).map_or(OLDEST.0, |(_, class, _)| class)
}

/// The classes with their names, newest first.
pub(crate) fn legend() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHADES.into_iter().map(|(_, class, name)| (class, name)).chain([OLDEST, UNKNOWN])
}
