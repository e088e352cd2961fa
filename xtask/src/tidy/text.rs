//! Rules for every text file that people write.

use std::path::Path;

use super::Violation;

const EXTENSIONS: [&str; 6] = ["md", "rs", "sh", "toml", "yaml", "yml"];

pub(super) fn check(path: &Path, text: &str) -> Vec<Violation> {
    if !path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
        return Vec::new();
    }
    let trailing = |line: &str| line.ends_with([' ', '\t', '\r']);
    let lines = text.split('\n').enumerate().filter(|(_, line)| trailing(line));
    let message = "trailing whitespace".to_owned();
    lines.map(|(at, _)| Violation { path: path.to_owned(), line: at + 1, message: message.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    #[test]
    fn trailing_whitespace_is_found_with_its_line() {
        let found = check(Path::new("README.md"), "a\nb \nc\t\nd\r\n");
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(found[0].to_string(), "README.md:2: trailing whitespace");
    }

    #[test]
    fn other_files_may_end_lines_as_they_like() {
        assert!(check(Path::new("LICENSE-MIT"), "a \n").is_empty());
    }
}
