//! The packages that `cargo tree` lists for a selection of crates on this platform.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::process;

/// The selected packages and those they pull in, each once, as `name vVERSION`.
pub(super) fn packages(selection: &[&str]) -> Result<BTreeSet<String>, Failure> {
    let format = ["tree", "--locked", "--prefix", "none", "--format", "{p}"];
    let mut cargo = process::cargo(format);
    // Features are those of the selection alone, whatever the configuration unifies.
    cargo.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected").args(selection);
    let text = process::output(&mut cargo)?;
    Ok(parse(&text))
}

/// Whether a package of this name is among them.
pub(super) fn holds(packages: &BTreeSet<String>, name: &str) -> bool {
    packages.iter().any(|package| package.split(' ').next() == Some(name))
}

/// Keeps the first two words of each line. The rest is the source of a package, and whether it was listed before.
fn parse(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::{holds, parse};

    #[test]
    fn each_package_counts_once_and_each_version_for_itself() {
        let text = "a v0.1.0 (/w/a)\nb v1.0.0\nc v2.0.0 (proc-macro)\n\nb v1.0.0 (*)\nb v2.0.0\n";
        let packages = parse(text);
        assert_eq!(packages.iter().collect::<Vec<_>>(), ["a v0.1.0", "b v1.0.0", "b v2.0.0", "c v2.0.0"]);
        assert!(holds(&packages, "b") && !holds(&packages, "b v1.0.0") && !holds(&packages, "d"));
    }
}
