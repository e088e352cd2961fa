//! Compares the sizes of the rooms of `cache-core` with the table in `ARCHITECTURE.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::source::Source;
use super::{Violation, rooms};

/// The document with the table. Its rows begin with a room and its lines.
pub(super) const DOCUMENT: &str = "ARCHITECTURE.md";

/// The most lines outside of [`GRAPH`]: the core is thin, and whoever reads one format pays for little more.
const MAX_LINES: usize = 5_000;
const GRAPH: &str = "graph";

/// Lines of production code and its documentation, for each room.
#[derive(Default)]
pub(super) struct Sizes(BTreeMap<String, usize>);

impl Sizes {
    pub(super) fn add(&mut self, source: &Source) {
        if let Some(room) = rooms::room(&source.path).filter(|_| !source.is_test()) {
            *self.0.entry(room).or_default() += source.production_lines;
        }
    }

    /// Reports every room whose row is missing, or is off by more than a tenth; and a core that has grown too large.
    pub(super) fn check(&self, text: &str) -> Vec<Violation> {
        let wrong = self.0.iter().filter_map(|(room, lines)| {
            let Some((at, told)) = row(text, room) else {
                return Some((0, format!("the table of rooms has no row for `{room}`, of {lines} lines")));
            };
            let is_off = told.abs_diff(*lines) * 10 > *lines;
            is_off.then(|| (at, format!("`{room}` has {lines} lines, not {told}")))
        });
        let thin: usize = self.0.iter().filter(|(room, _)| *room != GRAPH).map(|(_, lines)| lines).sum();
        let is_large = thin > MAX_LINES;
        let large = is_large.then(|| (0, format!("{thin} lines outside of `{GRAPH}`, at most {MAX_LINES}")));
        let violation = |(at, message)| Violation { path: PathBuf::from(DOCUMENT), line: at + 1, message };
        wrong.chain(large).map(violation).collect()
    }
}

/// The line of a room's row, and the size that it states.
fn row(text: &str, room: &str) -> Option<(usize, usize)> {
    text.lines().enumerate().find_map(|(at, line)| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.trim_matches('`').trim_end_matches('/');
        let lines = cells.next()?.replace(',', "").parse().ok()?;
        (name == room).then_some((at, lines))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Sizes;
    use crate::tidy::source::Source;

    fn messages(table: &str) -> Vec<String> {
        let mut sizes = Sizes::default();
        let source = |path: &str, lines: usize| Source::new(Path::new(path), "a\n".repeat(lines));
        sizes.add(&source("cache-core/src/json/mod.rs", 600));
        sizes.add(&source("cache-core/src/json/scan.rs", 600));
        sizes.add(&source("cache-core/src/json/tests.rs", 600));
        sizes.add(&source("cache-local/src/lib.rs", 600));
        sizes.check(table).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_row_that_is_about_right_passes() {
        assert!(messages("| room | lines |\n|---|---|\n| `json/` | 1,100 | text |\n").is_empty());
    }

    #[test]
    fn a_core_that_has_grown_too_large_is_reported() {
        let checked = |path: &str| {
            let mut sizes = Sizes::default();
            sizes.add(&Source::new(Path::new(path), "a\n".repeat(5_001)));
            sizes.check("| `json/` | 5,001 |\n| `graph/` | 5,001 |\n")
        };
        assert!(checked("cache-core/src/graph/walk.rs").is_empty());
        let large = checked("cache-core/src/json/scan.rs");
        assert_eq!(large[0].to_string(), "ARCHITECTURE.md:1: 5001 lines outside of `graph`, at most 5000");
    }

    #[test]
    fn a_row_that_is_stale_or_missing_is_reported() {
        assert_eq!(messages("| `json/` | 900 | text |\n"), ["ARCHITECTURE.md:1: `json` has 1200 lines, not 900"]);
        let missing = "ARCHITECTURE.md:1: the table of rooms has no row for `json`, of 1200 lines";
        assert_eq!(messages("| `model/` | 900 |\n"), [missing]);
    }
}
