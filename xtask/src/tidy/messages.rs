//! Checks that the messages on the troubleshooting page exist in the sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::Violation;
use crate::failure::Failure;

const PAGE: &str = "docs/troubleshooting.md";
/// The part of the page whose headings quote our own messages, up to the next part.
const OURS: &str = "## Messages of buildcache";

/// Reports every heading that quotes a message which no source has.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Violation>, Failure> {
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page).map_err(|error| Failure::io("read", &page, &error))?;
    let mut sources = String::new();
    for file in files.iter().filter(|file| is_source(root, file)) {
        sources += &fs::read_to_string(file).map_err(|error| Failure::io("read", file, &error))?;
    }
    let stale = quoted(&text).filter(|(_, message)| !sources.contains(message));
    let violation = |(line, message): (usize, &str)| Violation {
        path: PAGE.into(),
        line,
        message: format!("no source says {message:?}"),
    };
    Ok(stale.map(violation).collect())
}

/// Whether the file is a source of a published crate.
fn is_source(root: &Path, file: &Path) -> bool {
    let inside = file.strip_prefix(root).unwrap_or(file);
    let is_ours = inside.iter().next().is_some_and(|first| first.to_string_lossy().starts_with("cache-"));
    is_ours && inside.extension().is_some_and(|extension| extension == "rs")
}

/// The messages in the headings of our part, with their lines.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != OURS).skip(1);
    let ours = lines.take_while(|(_, line)| !line.starts_with("## "));
    ours.filter_map(|(at, line)| Some((at + 1, line.strip_prefix("### `")?.strip_suffix('`')?)))
}

#[cfg(test)]
mod tests {
    use super::{OURS, quoted};

    #[test]
    fn only_headings_of_our_part_are_looked_up() {
        let page = format!("### `before`\n{OURS}\n\n### `ours`\ntext\n## What others say\n### `theirs`\n");
        assert_eq!(quoted(&page).collect::<Vec<_>>(), [(4, "ours")]);
    }
}
