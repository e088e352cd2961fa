//! How many crates each of our crates may pull in.

use super::tree;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// The crates that a dependency on the member adds to a build, with its default features. A number goes up only with
/// the reason in the commit message.
const BUDGETS: [(&str, usize); 13] = [
    ("cache-azblob", 150),
    ("cache-core", 45),
    ("cache-gha", 145),
    ("cache-inline", 50),
    ("cache-kit", 45),
    ("cache-layers", 45),
    ("cache-local", 60),
    ("cache-memory", 50),
    ("cache-ops", 50),
    ("cache-report", 70),
    ("cache-registry", 160),
    ("cache-s3", 170),
    ("cache-cli", 330),
];

/// Prints how many crates each published member pulls in; reports those over their budget or without one.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut findings = Vec::new();
    for member in workspace.members.iter().filter(|member| member.is_published) {
        let name = &member.name;
        let count = tree::packages(&["--package", name, "--edges", "normal"])?.len() - 1;
        let Some((_, budget)) = BUDGETS.iter().find(|(budgeted, _)| budgeted == name) else {
            findings.push(format!("{name} pulls {count} crates and has no budget"));
            continue;
        };
        println!("  {name:<14} {count:>4} of {budget:>4} crates");
        if count > *budget {
            findings.push(format!("{name} pulls {count} crates, at most {budget}"));
        }
    }
    Ok(findings)
}
