//! Rules for Markdown pages that are read on a code host, and not through rustdoc.

use std::path::{Component, Path, PathBuf};

use super::Violation;

pub(super) fn check(root: &Path, path: &Path, text: &str) -> Vec<Violation> {
    if path.extension().is_none_or(|extension| extension != "md") {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut fence: Option<&str> = None;
    for (at, line) in text.lines().enumerate() {
        let mut report = |message: String| violations.push(Violation { path: path.to_owned(), line: at + 1, message });
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        match fence {
            Some(language) if is_rust(language) && is_hidden(line) => {
                report("a line that rustdoc hides shows on a code host".to_owned());
            }
            Some(_) => {}
            None => {
                if let Some(name) = undefined(line) {
                    report(format!("{name} is a link for rustdoc alone, and shows its brackets on a code host"));
                }
                for target in targets(line).filter(|target| is_missing(root, path, target)) {
                    report(format!("the link to {target} leads nowhere"));
                }
            }
        }
    }
    violations
}

fn is_rust(language: &str) -> bool {
    language.is_empty() || language.starts_with("rust")
}

fn is_hidden(line: &str) -> bool {
    let line = line.trim_start();
    line == "#" || line.starts_with("# ")
}

/// The first `[`name`]` of a line without an address.
fn undefined(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some(start) = rest.find("[`") {
        let found = &rest[start..];
        let end = found.find("`]")? + 2;
        if !found[end..].starts_with(['(', '[']) {
            return Some(&found[..end]);
        }
        rest = &found[end..];
    }
    None
}

/// The addresses of links on a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Whether the link leads to a file of this repository that does not exist.
fn is_missing(root: &Path, page: &Path, target: &str) -> bool {
    let file = target.split('#').next().unwrap_or_default();
    if file.is_empty() || file.contains("://") {
        return false;
    }
    !root.join(resolved(&page.with_file_name(file))).exists()
}

/// The path without `..`, since a folder before `..` need not exist.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    fn messages(text: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        check(root, Path::new("src/x.md"), text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rustdoc_syntax_is_reported() {
        assert_eq!(messages("```rust\n# fn main() {}\n```\n").len(), 1);
        assert_eq!(messages("see [`Digest`] and [`copy`](../README.md)").len(), 1);
        assert!(messages("```toml\n# a comment\n```\n\n# A heading\n").is_empty());
        assert!(messages("```rust\n#[derive(Debug)]\nstruct A;\n```\n").is_empty());
    }

    #[test]
    fn links_lead_to_files_that_exist() {
        assert!(messages("[a](../README.md#xtask) [b](main.rs) [c](#here) [d](https://host/x)").is_empty());
        assert_eq!(messages("[a](nowhere.md)"), ["src/x.md:1: the link to nowhere.md leads nowhere"]);
    }
}
