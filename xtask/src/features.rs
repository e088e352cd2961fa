//! Checks each feature of each crate alone. A build of the workspace has all features on, and hides what one of them
//! lacks.

use crate::failure::Failure;
use crate::process;
use crate::workspace::Member;

/// Lints the library and the binaries of every member with no feature, then with each of its features alone.
///
/// Clippy is used, since `cargo check` cannot deny warnings in our crates without compiling the others again.
pub(crate) fn check(members: &[&Member]) -> Result<(), Failure> {
    for member in members {
        for feature in selections(member) {
            let mut command = process::cargo(["clippy", "--quiet", "--locked", "--no-deps", "--package", &member.name]);
            process::run(command.args(feature).args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}

/// The feature flags to try; none for a member without features, since the other steps cover it. The features of
/// `default` are covered by those of no feature or of the whole workspace.
fn selections(member: &Member) -> Vec<Vec<&str>> {
    if member.features.is_empty() {
        return Vec::new();
    }
    let alone = member.features.iter().filter(|feature| *feature != "default");
    let alone = alone.map(|feature| vec!["--no-default-features", "--features", feature]);
    std::iter::once(vec!["--no-default-features"]).chain(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::selections;
    use crate::workspace::tests::sample;

    #[test]
    fn no_feature_comes_first_then_each_alone() {
        let workspace = sample();
        let core = workspace.member("cache-core").unwrap();
        assert_eq!(
            selections(core),
            [vec!["--no-default-features"], vec!["--no-default-features", "--features", "gzip"]]
        );
    }
}
