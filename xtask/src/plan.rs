//! `cargo xtask plan`: which crates CI has to check after a change.
//!
//! It prints a job matrix for GitHub Actions: `{"crate":["cache-core","cache-cli"]}`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::workspace::{Member, Workspace};

/// The default base of the comparison.
const BASE: &str = "origin/main";

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let base = args.option("--base")?;
    let files = args.operands()?;
    if base.is_some() && !files.is_empty() {
        return Err(Failure::usage("either `--base` or files, not both"));
    }
    let workspace = Workspace::load()?;
    let files =
        if files.is_empty() { changed_files(base.as_deref().unwrap_or(BASE), &workspace.root) } else { Ok(files) };
    let crates = match files {
        Ok(files) => affected(&workspace, &files),
        Err(failure) => {
            eprintln!("every crate is planned: {failure}");
            workspace.members.iter().map(|member| member.name.as_str()).collect()
        }
    };
    println!("{}", json!({ "crate": crates }));
    Ok(())
}

/// The files that differ between the working tree and its merge base with `base`.
fn changed_files(base: &str, root: &Path) -> Result<Vec<String>, Failure> {
    let mut command = Command::new("git");
    let text = process::output(command.current_dir(root).args(["diff", "--name-only", "--merge-base", base]))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The members that the files belong to and all that depend on them, in the order of the workspace.
fn affected<'a>(workspace: &'a Workspace, files: &[String]) -> Vec<&'a str> {
    let mut names = BTreeSet::new();
    for file in files {
        match owner(workspace, Path::new(file)) {
            Some(member) => names.extend(dependents(workspace, member)),
            None => names.extend(workspace.members.iter().map(|member| member.name.as_str())),
        }
    }
    workspace.members.iter().map(|member| member.name.as_str()).filter(|name| names.contains(name)).collect()
}

/// The member whose directory the file is in; files at the root belong to all.
fn owner<'a>(workspace: &'a Workspace, file: &Path) -> Option<&'a Member> {
    workspace.members.iter().find(|member| file.starts_with(&member.dir))
}

/// The member and everything that depends on it, directly or through others.
///
/// A crate whose examples or tests need it is affected too, but not its dependants: they do not build these.
fn dependents<'a>(workspace: &'a Workspace, member: &'a Member) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::from([member.name.as_str()]);
    loop {
        let next = depending_on(workspace, &found, false);
        if next.is_subset(&found) {
            break;
        }
        found.extend(next);
    }
    found.extend(depending_on(workspace, &found, true));
    found
}

fn depending_on<'a>(workspace: &'a Workspace, names: &BTreeSet<&str>, with_dev: bool) -> BTreeSet<&'a str> {
    let needs_one = |member: &&Member| {
        let mut counted = member.dependencies.iter().filter(|dependency| with_dev || !dependency.is_dev);
        counted.any(|dependency| names.contains(dependency.name.as_str()))
    };
    workspace.members.iter().filter(needs_one).map(|member| member.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::affected;
    use crate::workspace::Dependency;
    use crate::workspace::tests::sample;

    fn plan(files: &[&str]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|file| (*file).to_owned()).collect();
        affected(&sample(), &files).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_change_in_core_affects_all_that_depend_on_it() {
        let all_but_xtask = ["cache-core", "cache-local", "cache-s3", "cache-cli", "cache-tests"];
        assert_eq!(plan(&["cache-core/src/lib.rs"]), all_but_xtask);
    }

    #[test]
    fn a_change_in_a_backend_spares_the_other_backends() {
        assert_eq!(plan(&["cache-s3/src/client.rs"]), ["cache-s3", "cache-cli", "cache-tests"]);
    }

    #[test]
    fn a_crate_whose_examples_need_another_passes_the_change_on_to_nobody() {
        let mut workspace = sample();
        let name = "cache-s3".to_owned();
        workspace.members[0].dependencies.push(Dependency { name, is_dev: true, has_path: true, has_version: false });
        let planned = affected(&workspace, &["cache-s3/src/client.rs".to_owned()]);
        assert_eq!(planned, ["cache-core", "cache-s3", "cache-cli", "cache-tests"]);
    }

    #[test]
    fn a_change_in_the_tests_affects_them_alone() {
        assert_eq!(plan(&["tests/src/cases/blob.rs", "tests/fixtures/a"]), ["cache-tests"]);
    }

    #[test]
    fn a_file_at_the_root_affects_all() {
        assert_eq!(plan(&["Cargo.lock"]).len(), 6);
        assert_eq!(plan(&[".github/workflows/ci.yml"]).len(), 6);
    }

    #[test]
    fn nothing_changed_plans_nothing() {
        assert!(plan(&[]).is_empty());
    }
}
