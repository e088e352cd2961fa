//! `lib.rs` of a library crate holds documentation, modules and re-exports, no logic.

use super::Violation;
use super::source::Source;

/// What an item of `lib.rs` begins with, after its visibility.
const ALLOWED: [&str; 2] = ["mod ", "use "];

/// Reports the first line of every item that is neither an attribute, a `mod x;` nor a `use`.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut item = String::new();
    for (at, line) in source.code.lines().enumerate() {
        if item.is_empty() && !line.trim().is_empty() && !may_begin(line.trim()) {
            violations.push(source.violation(at + 1, "`lib.rs` holds modules and re-exports only"));
        }
        item.push_str(line.trim());
        if is_complete(&item) {
            item.clear();
        }
    }
    violations
}

fn may_begin(line: &str) -> bool {
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    line.starts_with('#') || (ALLOWED.iter().any(|start| line.starts_with(start)) && !line.contains(" {"))
}

/// An item ends with a semicolon or its last bracket.
fn is_complete(item: &str) -> bool {
    let count = |brackets: [char; 3]| item.matches(brackets).count();
    let is_balanced = count(['(', '[', '{']) == count([')', ']', '}']);
    is_balanced && item.ends_with([';', ']', '}'])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;
    use crate::tidy::source::Source;

    fn lines(text: &str) -> Vec<usize> {
        let source = Source::new(Path::new("cache-s3/src/lib.rs"), text.to_owned());
        check(&source).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn modules_and_re_exports_pass() {
        let text = "//! Doc.\n#![doc = include_str!(\n    \"x\"\n)]\n\nmod a;\n/// B.\npub mod b;\n\
                    #[cfg(feature = \"x\")]\nmod x;\npub use a::{\n    A,\n    B,\n};\npub(crate) use b::C;\n\
                    #[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
        assert!(lines(text).is_empty());
    }

    #[test]
    fn logic_is_reported_once_per_item() {
        assert_eq!(lines("mod a;\nfn f() {\n    g();\n}\nuse a::A;\nconst N: u8 = 1;\n"), [2, 6]);
        assert_eq!(lines("mod a {\n    fn f() {}\n}\n"), [1]);
    }
}
