//! Third-party build scripts and macros, which run on the machine that builds, each with its version.
//!
//! They are listed in a file, so that a new one, or a new version of one, shows in a review.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::tree;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// The list, relative to the root. Each line is `KIND NAME VERSION`.
const PINNED: &str = "xtask/build-scripts.txt";

/// Reports scripts and macros that are not in the list, and entries that no build runs.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let running = running()?;
    let path = workspace.root.join(PINNED);
    let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    println!("  {} build scripts and macros of others run in a build, see {PINNED}", running.len());
    Ok(compare(&running, &text))
}

/// Writes the list.
pub(super) fn pin(root: &Path) -> Result<(), Failure> {
    let text: String = running()?.iter().map(|line| format!("{line}\n")).collect();
    let path = root.join(PINNED);
    fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))
}

fn compare(running: &BTreeSet<String>, pinned: &str) -> Vec<String> {
    let pinned: BTreeSet<String> = pinned.lines().map(str::to_owned).collect();
    let new = running.difference(&pinned).map(|line| format!("{line} runs in a build: look at it, then `deps --pin`"));
    let gone = pinned.difference(running).map(|line| format!("{line} runs in no build any more: `deps --pin`"));
    new.chain(gone).collect()
}

/// The scripts and macros that run in a build of the program on any platform.
fn running() -> Result<BTreeSet<String>, Failure> {
    let selection = ["--package", "cache-cli", "--all-features", "--edges", "normal,build", "--target", "all"];
    let built = tree::packages(&selection)?;
    let text =
        process::output(&mut process::cargo(["metadata", "--locked", "--all-features", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("cannot parse the output of `cargo metadata`: {error}")))?;
    Ok(in_metadata(&metadata).into_iter().filter(|(_, package)| built.contains(package)).map(line).collect())
}

fn line((kind, package): (&'static str, String)) -> String {
    format!("{kind} {}", package.replacen(" v", " ", 1))
}

/// The scripts and macros with their packages, as `name vVERSION`. Our own packages have no source.
fn in_metadata(metadata: &Value) -> Vec<(&'static str, String)> {
    let packages =
        metadata["packages"].as_array().into_iter().flatten().filter(|package| package["source"].is_string());
    let kinds = packages.flat_map(|package| {
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let named = format!("{} v{}", text("name"), text("version"));
        let targets = package["targets"].as_array().into_iter().flatten();
        let kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
        let kinds = kinds.filter_map(|kind| match kind.as_str() {
            Some("custom-build") => Some("script"),
            Some("proc-macro") => Some("macro"),
            _ => None,
        });
        kinds.map(|kind| (kind, named.clone())).collect::<Vec<_>>()
    });
    kinds.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scripts_and_macros_of_others_are_found() {
        let package = |name: &str, source: Option<&str>, kind: &str| json!({ "name": name, "version": "1.2.3", "source": source, "targets": [{ "kind": ["lib"] }, { "kind": [kind] }] });
        let packages = [
            package("a-sys", Some("registry"), "custom-build"),
            package("b", Some("registry"), "bench"),
            package("c-derive", Some("registry"), "proc-macro"),
            package("ours", None, "custom-build"),
        ];
        let found: Vec<String> = in_metadata(&json!({ "packages": packages })).into_iter().map(line).collect();
        assert_eq!(found, ["script a-sys 1.2.3", "macro c-derive 1.2.3"]);
    }

    #[test]
    fn a_new_version_is_a_finding_and_so_is_a_stale_entry() {
        let running = BTreeSet::from(["script a 1.1.0".to_owned(), "script b 1.0.0".to_owned()]);
        assert_eq!(compare(&running, "script a 1.1.0\nscript b 1.0.0\n"), [""; 0]);
        let findings = compare(&running, "script a 1.0.0\nscript b 1.0.0\n");
        assert!(findings[0].starts_with("script a 1.1.0 runs"), "{findings:?}");
        assert!(findings[1].starts_with("script a 1.0.0 runs in no build"), "{findings:?}");
    }
}
