//! Rules for one Rust source file.

use std::path::Path;

use super::source::Source;
use super::{Violation, lib_rs, rooms};
use crate::workspace::Workspace;

/// The most lines of production code in a file.
const MAX_LINES: usize = 600;
/// The one file that knows which backends exist.
const GATES: &str = "cache-cli/src/backends.rs";
/// Calls that are not allowed in production code.
const FORBIDDEN: [&str; 4] = [".unwrap()", "dbg!(", "todo!(", "unimplemented!("];

/// Applies every rule to the file.
pub(super) fn check(source: &Source, workspace: &Workspace) -> Vec<Violation> {
    let mut violations: Vec<_> = header(source).into_iter().collect();
    if source.is_test() {
        return violations;
    }
    violations.extend(length(source));
    violations.extend(calls(source));
    violations.extend(gates(source, workspace));
    violations.extend(rooms::check(source));
    if is_library_root(&source.path, workspace) {
        violations.extend(lib_rs::check(source));
    }
    violations
}

/// Every file opens with its purpose; for the root of a crate that may be its README.
fn header(source: &Source) -> Option<Violation> {
    let opens = source.text.starts_with("//!") || source.text.starts_with("#![doc = include_str!(");
    (!opens && !source.path.ends_with("build.rs")).then(|| source.violation(1, "the file does not open with `//!`"))
}

fn length(source: &Source) -> Option<Violation> {
    let lines = source.production_lines;
    (lines > MAX_LINES)
        .then(|| source.violation(lines, format!("{lines} lines of production code, at most {MAX_LINES}")))
}

fn calls(source: &Source) -> Vec<Violation> {
    let found = FORBIDDEN.iter().map(|call| {
        let name = call.trim_end_matches(['(', ')']);
        source.find(&source.code, |line| line.contains(call), &format!("`{name}` in production code"))
    });
    found.flatten().collect()
}

/// Features for backends are allowed only in [`GATES`].
fn gates(source: &Source, workspace: &Workspace) -> Vec<Violation> {
    if source.path == Path::new(GATES) {
        return Vec::new();
    }
    let backends = workspace.backends().filter_map(|member| member.backend());
    let found = backends.map(|backend| {
        let gate = format!("feature = \"{backend}\"");
        source.find(&source.uncommented, |line| line.contains(&gate), &format!("`{gate}` belongs into {GATES}"))
    });
    found.flatten().collect()
}

/// Whether this is the `lib.rs` of a published crate.
fn is_library_root(path: &Path, workspace: &Workspace) -> bool {
    workspace.members.iter().any(|member| member.is_published && path == member.dir.join("src/lib.rs"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;
    use crate::tidy::source::Source;
    use crate::workspace::tests::sample;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(Path::new(path), text.to_owned());
        check(&source, &sample()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert_eq!(messages("a/src/b.rs", "use x;\n"), ["a/src/b.rs:1: the file does not open with `//!`"]);
        assert!(messages("a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        assert!(messages("a/build.rs", "fn main() {}\n").is_empty());
    }

    #[test]
    fn long_production_code_is_reported_and_long_tests_are_not() {
        let long = "x\n".repeat(600);
        let message = "a/src/b.rs:601: 601 lines of production code, at most 600";
        assert_eq!(messages("a/src/b.rs", &format!("//! A.\n{long}")), [message]);
        assert!(messages("a/src/b.rs", &format!("//! A.\n#[cfg(test)]\nmod tests {{\n{long}}}")).is_empty());
    }

    #[test]
    fn panicking_calls_are_found_in_production_code_only() {
        let text = "//! A.\nfn f() { a.unwrap(); }\n/// `a.unwrap()`\nfn g() { h(\".unwrap()\") }\n";
        assert_eq!(messages("a/src/b.rs", text), ["a/src/b.rs:2: `.unwrap` in production code"]);
        assert!(messages("a/tests/b.rs", text).is_empty());
        assert!(
            messages("a/src/b.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap(); }\n}\n").is_empty()
        );
    }

    #[test]
    fn only_one_file_gates_backends() {
        let text = "//! A.\n#[cfg(feature = \"s3\")]\nmod s3;\n";
        let message = "cache-core/src/error.rs:2: `feature = \"s3\"` belongs into cache-cli/src/backends.rs";
        assert_eq!(messages("cache-core/src/error.rs", text), [message]);
        assert!(messages("cache-cli/src/backends.rs", text).is_empty());
        assert!(messages("tests/src/s3.rs", text).is_empty());
        assert!(messages("cache-core/src/error.rs", "//! A.\n#[cfg(feature = \"gzip\")]\nmod gzip;\n").is_empty());
    }
}
