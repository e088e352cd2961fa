//! A Rust source file, with and without comments and literals.

use std::path::{Path, PathBuf};

use super::Violation;
use super::lexer::{Class, classify};

/// A file, and views of its text that the rules search.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The text with blanks in place of comments, literals and modules of tests.
    pub(super) code: String,
    /// The text with blanks in place of comments and modules of tests.
    pub(super) uncommented: String,
    /// The number of lines outside of modules of tests.
    pub(super) production_lines: usize,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        let classes = classify(&text);
        let code = blanked(&text, &classes, |class| class == Class::Code);
        let uncommented = blanked(&text, &classes, |class| class != Class::Comment);
        let is_test = test_lines(&code);
        let production_lines = is_test.iter().filter(|is_test| !**is_test).count();
        let (code, uncommented) = (without(&code, &is_test), without(&uncommented, &is_test));
        Self { path: path.to_owned(), text, code, uncommented, production_lines }
    }

    /// Whether the whole file is for tests or benchmarks.
    pub(super) fn is_test(&self) -> bool {
        let in_directory = self.path.iter().any(|name| name == "tests" || name == "benches");
        in_directory || self.path.ends_with("tests.rs")
    }

    /// One violation per production line of the view that matches.
    pub(super) fn find(&self, view: &str, matches: impl Fn(&str) -> bool, message: &str) -> Vec<Violation> {
        let lines = view.lines().enumerate();
        lines.filter(|(_, line)| matches(line)).map(|(at, _)| self.violation(at + 1, message)).collect()
    }

    pub(super) fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, message: message.into() }
    }
}

/// For each line of the code, whether it is in a module of tests.
fn test_lines(code: &str) -> Vec<bool> {
    let lines: Vec<_> = code.lines().collect();
    let mut is_test = Vec::new();
    while is_test.len() < lines.len() {
        let length = test_module(&lines[is_test.len()..]);
        let line = if length == 0 { 1 } else { length };
        is_test.resize(is_test.len() + line, length > 0);
    }
    is_test
}

/// The number of lines of the module of tests that begins with the first line; 0 if none does.
fn test_module(lines: &[&str]) -> usize {
    let Some(opens) = lines.iter().position(|line| !line.trim_start().starts_with("#[")) else { return 0 };
    if lines[0].trim() != "#[cfg(test)]" || !is_module(lines[opens]) {
        return 0;
    }
    if !lines[opens].trim_end().ends_with('{') {
        return opens + 1;
    }
    let indentation = lines[0].len() - lines[0].trim_start().len();
    let closes = |line: &&str| line.trim_end().len() == indentation + 1 && line.trim_start().starts_with('}');
    lines.iter().position(closes).map_or(lines.len(), |at| at + 1)
}

/// The text with empty lines in place of those of tests.
fn without(text: &str, is_test: &[bool]) -> String {
    let lines = text.lines().zip(is_test);
    lines.flat_map(|(line, is_test)| [if *is_test { "" } else { line }, "\n"]).collect()
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
    fn modules_of_tests_are_blank_wherever_they_stand() {
        let code = |text: &str| (source("a.rs", text).code, source("a.rs", text).production_lines);
        assert_eq!(code("a\n#[cfg(test)]\nmod tests {\n    }\n"), ("a\n\n\n\n".to_owned(), 1));
        let text = "#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod tests;\nb\n";
        assert_eq!(code(text), ("\n\n\nb\n".to_owned(), 1));
        let text = "#[cfg(test)]\nmod tests {\n    }\n}\nuse b;\n";
        assert_eq!(code(text), ("\n\n\n\nuse b;\n".to_owned(), 1));
        let text = "#[cfg(test)]\nuse x;\na\n// #[cfg(test)]\n";
        assert_eq!(code(text), ("#[cfg(test)]\nuse x;\na\n               \n".to_owned(), 4));
    }

    #[test]
    fn tests_are_known_by_their_place() {
        assert!(source("tests/src/cases/blob.rs", "").is_test());
        assert!(source("cache-core/benches/graph.rs", "").is_test());
        assert!(source("cache-core/src/graph/tests.rs", "").is_test());
        assert!(!source("cache-core/src/test.rs", "").is_test());
    }
}
