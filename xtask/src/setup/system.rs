//! Packages of Debian, for the whole machine. They are installed without a question if the user is root.

use std::process::Command;

use super::Outcome;
use crate::process;

/// Debian's registry, for the tests with a real one.
pub(super) fn docker_registry() -> Outcome {
    const SKIPPED: &str = "the tests of a real registry are skipped";
    if let Some(version) = docker_registry_version() {
        return Outcome::Found(version);
    }
    if !is_root() || !install("docker-registry") {
        return Outcome::Absent(SKIPPED);
    }
    let version = docker_registry_version();
    version.map_or(Outcome::Absent(SKIPPED), |version| Outcome::Installed(format!("{version} with apt-get")))
}

/// The last word of `docker-registry github.com/docker/distribution 2.8.2+ds1`.
fn docker_registry_version() -> Option<String> {
    let text = process::output(Command::new("docker-registry").arg("--version")).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}

/// Programs that read layers, for the tests that give them ours. Each is a Debian package of the same name.
pub(super) fn layer_tools() -> Outcome {
    const TOOLS: [&str; 5] = ["gzip", "pigz", "zstd", "skopeo", "umoci"];
    let is_there = |tool: &str| process::output(Command::new(tool).arg("--version")).is_ok();
    let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !is_there(tool)).collect();
    if missing.is_empty() {
        return Outcome::Found(TOOLS.join(", "));
    }
    if is_root() && missing.iter().all(|tool| install(tool)) {
        return Outcome::Installed(format!("{} with apt-get", missing.join(", ")));
    }
    Outcome::Absent("the tests that hand layers to them are skipped")
}

/// Whether this user is root.
pub(crate) fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|text| text.trim() == "0")
}

fn install(package: &str) -> bool {
    apt(&["install", package]) || (apt(&["update"]) && apt(&["install", package]))
}

fn apt(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(["--yes", "--quiet", "--no-install-recommends"]).args(arguments);
    process::output(command.env("DEBIAN_FRONTEND", "noninteractive")).is_ok()
}
