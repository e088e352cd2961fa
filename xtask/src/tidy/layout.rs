//! Rules for the crates as a whole: their files and their manifests.

use std::fs;
use std::path::{Path, PathBuf};

use super::Violation;
use crate::workspace::{Dependency, Member, Workspace};

/// The files that do the same job in every backend.
const BACKEND_FILES: [&str; 7] = ["lib", "attributes", "config", "importer", "exporter", "store", "error"];

/// Files that a backend does not need. An inline cache is read, listed and named by the backend of its image. A store
/// in memory is its own config, and has no foreign errors to map.
const UNUSED: [(&str, &[&str]); 2] =
    [("cache-inline", &["config", "importer", "store"]), ("cache-memory", &["config", "error"])];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let readmes = workspace.members.iter().filter_map(|member| readme(member, &workspace.root));
    let files = workspace.backends().flat_map(|member| backend_files(member, &workspace.root));
    let published = workspace.members.iter().filter(|member| member.is_published);
    let versions = published.flat_map(|member| versions(member, &workspace.root));
    readmes.chain(files).chain(versions).collect()
}

fn readme(member: &Member, root: &Path) -> Option<Violation> {
    let path = member.dir.join("README.md");
    (!root.join(&path).is_file()).then(|| missing(path))
}

/// A backend has the common files, each as `x.rs` or `x/mod.rs`.
fn backend_files(member: &Member, root: &Path) -> Vec<Violation> {
    let source = member.dir.join("src");
    let exists = |name: &str| root.join(&source).join(name).is_file();
    let is_unused =
        |file: &&&str| UNUSED.iter().any(|(backend, files)| *backend == member.name && files.contains(*file));
    let absent = BACKEND_FILES
        .iter()
        .filter(|file| !is_unused(file))
        .filter(|name| !exists(&format!("{name}.rs")) && !exists(&format!("{name}/mod.rs")));
    absent.map(|name| missing(source.join(format!("{name}.rs")))).collect()
}

/// A path dependency that is published needs a version. One for tests must have none: `cargo publish` drops it then, so
/// that two crates can use each other in their tests.
fn versions(member: &Member, root: &Path) -> Vec<Violation> {
    let path = member.dir.join("Cargo.toml");
    let manifest = fs::read_to_string(root.join(&path)).unwrap_or_default();
    let wrong = member.dependencies.iter().filter(|dependency| dependency.has_path);
    let wrong = wrong.filter(|dependency| dependency.is_dev == dependency.has_version);
    wrong
        .map(|dependency| Violation {
            path: path.clone(),
            line: line_of(&manifest, dependency),
            message: match dependency.is_dev {
                true => format!("the dev-dependency `{}` has a path and a version", dependency.name),
                false => format!("the dependency `{}` has a path but no version", dependency.name),
            },
        })
        .collect()
}

/// The line of a dependency in its table; 1 if it is written in another way.
fn line_of(manifest: &str, dependency: &Dependency) -> usize {
    let table = if dependency.is_dev { "dev-dependencies" } else { "dependencies" };
    let lines = manifest.lines().enumerate();
    let mut below =
        lines.skip_while(|(_, line)| !line.starts_with('[') || !line.ends_with(&format!("{table}]"))).skip(1);
    below.find(|(_, line)| line.starts_with(&dependency.name)).map_or(1, |(at, _)| at + 1)
}

fn missing(path: PathBuf) -> Violation {
    Violation { path, line: 1, message: "the file is missing".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{line_of, versions};
    use crate::workspace::tests::sample;
    use crate::workspace::{Dependency, Member};

    fn core(is_dev: bool, has_version: bool) -> Dependency {
        Dependency { name: "cache-core".to_owned(), is_dev, has_path: true, has_version }
    }

    fn messages(dependency: Dependency) -> Vec<String> {
        let member = sample().members.remove(1);
        let member = Member { dependencies: vec![dependency], ..member };
        versions(&member, Path::new("/nowhere")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_dependencies_that_are_published_carry_a_version() {
        assert!(messages(core(false, true)).is_empty());
        assert!(messages(core(true, false)).is_empty());
        let message = "cache-local/Cargo.toml:1: the dev-dependency `cache-core` has a path and a version";
        assert_eq!(messages(core(true, true)), [message]);
        let message = "cache-local/Cargo.toml:1: the dependency `cache-core` has a path but no version";
        assert_eq!(messages(core(false, false)), [message]);
    }

    #[test]
    fn a_dependency_is_found_in_its_own_table() {
        let manifest =
            "[dependencies]\ncache-core = { workspace = true }\n\n[dev-dependencies]\ncache-core.workspace = true\n";
        assert_eq!(line_of(manifest, &core(false, true)), 2);
        assert_eq!(line_of(manifest, &core(true, true)), 5);
    }
}
