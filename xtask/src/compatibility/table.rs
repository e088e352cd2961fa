//! The table in `docs/compatibility.md`, between its markers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::battery::{Came, Row};
use crate::failure::Failure;

const BEGIN: &str = "<!-- made by `cargo xtask compatibility` -->";
const END: &str = "<!-- end of what is made -->";

/// A table with one line for each store, and below it the message of each step that failed.
pub(super) fn render(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let names: Vec<&str> = first.steps.iter().map(|(name, _)| *name).collect();
    let mut text = format!("| store | version | {} | doctor: refused |\n", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}---|", "---|".repeat(names.len()));
    for row in rows {
        let cells: Vec<&str> = row.steps.iter().map(|(_, came)| cell(came)).collect();
        let refused = if row.refused.is_empty() { "nothing".to_owned() } else { row.refused.join(", ") };
        let _ = writeln!(text, "| {} | {} | {} | {refused} |", row.store, row.version, cells.join(" | "));
    }
    text.push('\n');
    for row in rows {
        for (step, came) in &row.steps {
            if let Came::Badly(said) = came {
                let said = said.replace('|', "\\|");
                let _ = writeln!(text, "* {}, {step}: {said}", row.store);
            }
        }
        for lie in &row.lies {
            let _ = writeln!(text, "* {}, doctor: {lie}", row.store);
        }
    }
    text
}

fn cell(came: &Came) -> &'static str {
    match came {
        Came::Well => "yes",
        Came::Badly(_) => "**no**",
        Came::Untried => "–",
    }
}

/// Replaces the table.
pub(super) fn write(path: &Path, table: &str) -> Result<(), Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    let replaced = replace(&text, table);
    let replaced = replaced.ok_or_else(|| Failure::new(format!("{} has no place for the table", path.display())))?;
    fs::write(path, replaced).map_err(|error| Failure::io("write", path, &error))
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let replaced = replace(&text, "| new |\n").unwrap();
        assert_eq!(replaced, format!("a\n{BEGIN}\n\n| new |\n\n{END}\nb\n"));
        assert_eq!(replace("a", "b"), None);
    }

    #[test]
    fn messages_of_failed_steps_are_below_the_table() {
        let steps =
            vec![("copy", Came::Well), ("ls", Came::Badly("exit 1: no | list".to_owned())), ("rm", Came::Untried)];
        let row =
            Row { store: "x", version: "1".to_owned(), steps, refused: vec!["list".to_owned()], lies: Vec::new() };
        let expected = "| store | version | copy | ls | rm | doctor: refused |\n|---|---|---|---|---|---|\n\
                        | x | 1 | yes | **no** | – | list |\n\n* x, ls: exit 1: no \\| list\n";
        assert_eq!(render(&[row]), expected);
    }
}
