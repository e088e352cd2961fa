//! How many versions of crates for hashes and encodings there may be: one, as far as the SDKs agree.

use std::collections::BTreeSet;

use super::tree;
use crate::failure::Failure;

/// How many versions there may be, and why.
const ALLOWED: [(&str, usize, &str); 4] = [
    ("base64", 2, "octocrab and azure_core want 0.22, reqwest wants 0.23"),
    ("digest", 2, "octocrab and the checksums of the AWS SDK want 0.10, its signatures want 0.11"),
    ("hmac", 2, "octocrab wants 0.12, the AWS SDK wants 0.13"),
    ("sha2", 2, "octocrab wants 0.10, the AWS SDK wants 0.11"),
];

/// Reports crates with more versions, in the whole program and in one that opens no connection.
pub(super) fn check() -> Result<Vec<String>, Failure> {
    let all = tree::packages(&["--package", "cache-cli", "--all-features", "--edges", "normal"])?;
    let offline =
        ["--package", "cache-cli", "--no-default-features", "--features", "inline,local", "--edges", "normal"];
    let offline = tree::packages(&offline)?;
    let mut findings = Vec::new();
    for (name, most, why) in ALLOWED {
        findings.extend(too_many(&all, name, most).map(|found| format!("{found}, at most {most}: {why}")));
        findings.extend(too_many(&offline, name, 1).map(|found| format!("{found}, and no SDK wants them")));
    }
    Ok(findings)
}

fn too_many(packages: &BTreeSet<String>, name: &str, most: usize) -> Option<String> {
    let versions: Vec<&str> =
        packages.iter().filter_map(|package| package.strip_prefix(name)?.strip_prefix(" v")).collect();
    (versions.len() > most).then(|| format!("{name} has {} versions ({})", versions.len(), versions.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_name_are_counted() {
        let packages = ["sha1 v0.1.0", "sha2 v0.10.9", "sha2 v0.11.1", "sha2-asm v1.0.0"].map(str::to_owned).into();
        assert_eq!(too_many(&packages, "sha2", 2), None);
        assert_eq!(too_many(&packages, "sha2", 1).unwrap(), "sha2 has 2 versions (0.10.9, 0.11.1)");
    }
}
