//! The paths in a source file that start at `crate`, `self` or `super`, including those in the braces of a `use`.

/// A path, such as `crate::model::Digest`, and its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedPath {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The name that a `use` gives it in this file; `None` for a path in code.
    pub(super) name: Option<String>,
}

/// Reads the paths of code whose comments and literals are blanks.
pub(super) fn paths(code: &str) -> Vec<NamedPath> {
    let mut reader = Reader::default();
    for (at, line) in code.lines().enumerate() {
        reader.line = at + 1;
        tokens(line).for_each(|token| reader.token(token));
    }
    reader.paths
}

#[derive(Default)]
struct Reader {
    line: usize,
    paths: Vec<NamedPath>,
    /// The segments of the path that is being read.
    segments: Vec<String>,
    alias: Option<String>,
    last: String,
    is_use: bool,
    /// The prefixes of the braces that are open in a `use`.
    groups: Vec<Vec<String>>,
}

impl Reader {
    fn token(&mut self, token: &str) {
        match token {
            "::" | "as" => {}
            "use" => self.begin_use(),
            "{" if self.is_use => self.groups.push(std::mem::take(&mut self.segments)),
            "}" if self.is_use => {
                self.end_path();
                self.groups.pop();
            }
            ";" => {
                self.end_path();
                self.is_use = false;
            }
            word if is_word(word) => self.word(word),
            _ => self.end_path(),
        }
        token.clone_into(&mut self.last);
    }

    fn begin_use(&mut self) {
        self.end_path();
        self.groups.clear();
        self.is_use = true;
    }

    fn word(&mut self, word: &str) {
        match &*self.last {
            "::" if !self.segments.is_empty() => self.segments.push(word.to_owned()),
            "as" if self.is_use => self.alias = Some(word.to_owned()),
            _ => {
                self.end_path();
                self.segments = self.groups.last().cloned().unwrap_or_default();
                self.segments.push(word.to_owned());
            }
        }
    }

    /// Keeps the path that was read, if it is one of this crate.
    fn end_path(&mut self) {
        let (mut segments, alias) = (std::mem::take(&mut self.segments), self.alias.take());
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let is_local = segments.first().is_some_and(|first| ["crate", "self", "super"].contains(&first.as_str()));
        if is_local && segments.len() > 1 {
            let name = self.is_use.then(|| alias.or_else(|| segments.last().cloned())).flatten();
            self.paths.push(NamedPath { line: self.line, segments, name });
        }
    }
}

/// The words of a line, its `::`, and every other character alone.
fn tokens(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after.trim_start();
        Some(token)
    })
}

fn is_word(token: &str) -> bool {
    token.starts_with(is_part)
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::paths;

    fn read(code: &str) -> Vec<String> {
        let shown = |path: super::NamedPath| {
            format!("{} {} {}", path.line, path.segments.join("::"), path.name.unwrap_or_default())
        };
        paths(code).into_iter().map(shown).collect()
    }

    #[test]
    fn braces_of_a_use_are_opened() {
        let code = "use std::fmt;\npub use self::a::{self, B, c::{D as E, F}};\nuse super::g;\n";
        let expected = ["2 self::a a", "2 self::a::B B", "2 self::a::c::D E", "2 self::a::c::F F", "3 super::g g"];
        assert_eq!(read(code), expected);
    }

    #[test]
    fn paths_in_code_have_no_name() {
        let code = "fn f(a: &crate::b::C) { super::d::e() as u8; self.x; g::h() }\n";
        assert_eq!(read(code), ["1 crate::b::C ", "1 super::d::e "]);
    }
}
