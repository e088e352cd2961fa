//! The crates that are in the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Release;
use crate::failure::Failure;
use crate::process;

/// A crate in one version.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression; empty if the manifest has none.
    pub(super) licence: String,
    /// The folder of its sources.
    pub(super) folder: PathBuf,
    /// The SHA-256 of the package in its registry; `None` for crates of this workspace.
    pub(super) checksum: Option<String>,
}

/// All crates of the program and its build scripts for the target, in the order of name and version.
pub(super) fn below(release: &Release<'_>) -> Result<Vec<Package>, Failure> {
    let names = names(release)?;
    let checksums = checksums(release)?;
    let mut cargo =
        process::cargo(["metadata", "--locked", "--format-version", "1", "--filter-platform", release.target]);
    let text = process::output(cargo.current_dir(&release.workspace.root))?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("cannot parse the output of `cargo metadata`: {error}")))?;
    let all = metadata["packages"].as_array().into_iter().flatten().map(|package| {
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let (name, version) = (text("name"), text("version"));
        let folder = PathBuf::from(text("manifest_path")).parent().map(PathBuf::from).unwrap_or_default();
        let checksum = checksums.get(&format!("{name} {version}")).cloned();
        Package { licence: text("license"), folder, checksum, name, version }
    });
    let mut packages: Vec<Package> =
        all.filter(|package| names.contains(&format!("{} v{}", package.name, package.version))).collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// The crates as `name vVERSION`.
fn names(release: &Release<'_>) -> Result<BTreeSet<String>, Failure> {
    let tree = ["tree", "--locked", "--prefix", "none", "--format", "{p}", "--package", "cache-cli"];
    let mut cargo = process::cargo(tree);
    // Features are those of the program alone, whatever the configuration unifies.
    cargo.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected");
    cargo.args(["--edges", "normal,build", "--target", release.target]).current_dir(&release.workspace.root);
    let text = process::output(&mut cargo)?;
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().filter(|line| !line.is_empty()).map(name).collect())
}

/// The checksums in `Cargo.lock`, by `name version`.
fn checksums(release: &Release<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let path = release.workspace.root.join("Cargo.lock");
    let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    Ok(parse(&text))
}

fn parse(lock: &str) -> BTreeMap<String, String> {
    let value = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
        line.strip_suffix('"').map(str::to_owned)
    };
    let packages = lock.split("[[package]]").skip(1);
    let checksum = |package: &str| {
        let key = format!("{} {}", value(package, "name")?, value(package, "version")?);
        Some((key, value(package, "checksum")?))
    };
    packages.filter_map(checksum).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn checksums_are_those_of_packages_that_have_one() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        assert_eq!(parse(lock).into_iter().collect::<Vec<_>>(), [("a 1.0.0".to_owned(), "00ff".to_owned())]);
    }
}
