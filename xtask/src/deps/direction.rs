//! Which crate of the workspace may depend on which.

use crate::workspace::{Member, Workspace};

/// The crate at the bottom.
const CORE: &str = "cache-core";
/// The crate for code that talks to a server.
const KIT: &str = "cache-kit";
/// The crate for code that reads layers.
const LAYERS: &str = "cache-layers";

/// Reports every dependency that the architecture does not allow. Those of examples and tests are not checked, since
/// they do not reach users.
pub(super) fn check(workspace: &Workspace) -> Vec<String> {
    let arrows = workspace.members.iter().flat_map(|member| {
        let shipped = member.dependencies.iter().filter(|dependency| !dependency.is_dev);
        let ours = shipped.filter(|dependency| workspace.member(&dependency.name).is_ok());
        ours.map(move |dependency| (member, dependency.name.as_str()))
    });
    let wrong = arrows.filter(|(from, to)| !is_allowed(from, to));
    wrong.map(|(from, to)| format!("{} must not depend on {to}", from.name)).collect()
}

/// The command line and the conformance tests use everything; backends use the core and the kit, and so do layers;
/// operations use layers too; reports use the core and operations; the core and xtask use nothing. A crate may turn on
/// features of its own for its tests.
fn is_allowed(from: &Member, to: &str) -> bool {
    if from.name == to {
        return true;
    }
    match from.name.as_str() {
        "cache-cli" | "cache-tests" => to != "xtask",
        CORE | "xtask" => false,
        KIT => to == CORE,
        "cache-report" => to == CORE || to == "cache-ops",
        "cache-ops" => [CORE, KIT, LAYERS].contains(&to),
        _ => to == CORE || to == KIT,
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::tests::sample;
    use crate::workspace::{Dependency, Workspace};

    fn with(at: usize, name: &str) -> Workspace {
        let mut workspace = sample();
        let name = name.to_owned();
        workspace.members[at].dependencies.push(Dependency { name, is_dev: false, has_path: true, has_version: true });
        workspace
    }

    #[test]
    fn the_arrows_of_the_architecture_pass() {
        assert!(check(&sample()).is_empty());
    }

    #[test]
    fn core_depends_on_no_backend() {
        assert_eq!(check(&with(0, "cache-local")), ["cache-core must not depend on cache-local"]);
    }

    #[test]
    fn a_backend_does_not_look_into_layers() {
        let mut workspace = with(1, "cache-layers");
        workspace.members[2].name = "cache-layers".to_owned();
        assert_eq!(check(&workspace), ["cache-local must not depend on cache-layers"]);
    }

    #[test]
    fn backends_do_not_know_each_other() {
        assert_eq!(check(&with(1, "cache-s3")), ["cache-local must not depend on cache-s3"]);
    }

    #[test]
    fn third_party_crates_are_not_checked() {
        assert!(check(&with(0, "serde")).is_empty());
    }
}
