//! A Rust source file, with and without comments and literals.

use std::path::{Path, PathBuf};

use super::Violation;
use super::lexer::{Class, classify};

/// A file, and views of its text that the rules search.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The text with blanks in place of comments and literals.
    pub(super) code: String,
    /// The text with blanks in place of comments.
    pub(super) uncommented: String,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        let classes = classify(&text);
        let code = blanked(&text, &classes, |class| class == Class::Code);
        let uncommented = blanked(&text, &classes, |class| class != Class::Comment);
        Self { path: path.to_owned(), text, code, uncommented }
    }

    /// Whether the whole file is for tests or benchmarks.
    pub(super) fn is_test(&self) -> bool {
        let in_directory = self.path.iter().any(|name| name == "tests" || name == "benches");
        in_directory || self.path.ends_with("tests.rs")
    }

    /// The number of lines before the test module.
    pub(super) fn production_lines(&self) -> usize {
        let lines: Vec<_> = self.code.lines().collect();
        let opens_tests = |at: &usize| {
            let next = lines[at + 1..].iter().find(|line| !line.trim_start().starts_with("#["));
            lines[*at].trim() == "#[cfg(test)]" && next.is_some_and(|line| is_module(line))
        };
        (0..lines.len()).find(opens_tests).unwrap_or(lines.len())
    }

    /// One violation per production line of the view that matches.
    pub(super) fn find(&self, view: &str, matches: impl Fn(&str) -> bool, message: &str) -> Vec<Violation> {
        let lines = view.lines().take(self.production_lines()).enumerate();
        lines.filter(|(_, line)| matches(line)).map(|(at, _)| self.violation(at + 1, message)).collect()
    }

    pub(super) fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, message: message.into() }
    }
}

fn is_module(line: &str) -> bool {
    let line = line.trim_start();
    ["mod ", "pub mod ", "pub(crate) mod ", "pub(super) mod "].iter().any(|start| line.starts_with(start))
}

/// The text with blanks in place of the other classes. Line ends stay.
fn blanked(text: &str, classes: &[Class], keep: impl Fn(Class) -> bool) -> String {
    let blank = |(at, character): (usize, char)| if character == '\n' || keep(classes[at]) { character } else { ' ' };
    text.char_indices().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Source;

    fn source(path: &str, text: &str) -> Source {
        Source::new(Path::new(path), text.to_owned())
    }

    #[test]
    fn views_keep_their_lines() {
        let source = source("a.rs", "a // é\n\"b\nc\" d\n");
        assert_eq!(source.code, "a     \n  \n   d\n");
        assert_eq!(source.uncommented, "a     \n\"b\nc\" d\n");
    }

    #[test]
    fn production_ends_at_the_test_module() {
        assert_eq!(source("a.rs", "a\n#[cfg(test)]\nmod tests {\n").production_lines(), 1);
        assert_eq!(source("a.rs", "a\n#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod tests;\n").production_lines(), 1);
        assert_eq!(source("a.rs", "#[cfg(test)]\nuse x;\na\n// #[cfg(test)]\n").production_lines(), 4);
    }

    #[test]
    fn tests_are_known_by_their_place() {
        assert!(source("tests/src/cases/blob.rs", "").is_test());
        assert!(source("cache-core/benches/graph.rs", "").is_test());
        assert!(source("cache-core/src/graph/tests.rs", "").is_test());
        assert!(!source("cache-core/src/test.rs", "").is_test());
    }
}
