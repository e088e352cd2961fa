//! The action of this repository: what it installs, what it refuses, and what it hands on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::places::Places;
use super::runner::Runner;
use crate::sandbox::{Sandbox, copy_dir};

const ARCHIVE: &str = "buildcache-9.9.9-x86_64-unknown-linux-musl.tar.gz";

/// Lays the action out beside a release of its own, whose checksum it knows.
pub(super) fn install(runner: &mut Runner) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    copy_dir(&repository.join("action"), &runner.path("action/action"));
    fs::copy(repository.join("action.yml"), runner.path("action/action.yml")).unwrap();
    let pin = format!("{}  {ARCHIVE}\n", release(runner));
    fs::write(runner.path("action/action/SHA256SUMS"), pin).unwrap();
    runner.contexts["github"]["server_url"] = format!("file://{}", runner.path("server").display()).into();
    runner.contexts["github"]["action_repository"] = "owner/buildcache".into();
}

/// Makes the archive of a release, and tells its checksum.
fn release(runner: &Runner) -> String {
    let folder = runner.path("server/owner/buildcache/releases/download/v9.9.9");
    let tree = runner.path("tree/buildcache-9.9.9");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::copy(runner.path("bin/buildcache"), tree.join("bin/buildcache")).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(folder.join(ARCHIVE)).arg("-C").arg(runner.path("tree")).arg("buildcache-9.9.9");
    assert!(tar.status().unwrap().success());
    let output = Command::new("sha256sum").arg(folder.join(ARCHIVE)).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

fn runner() -> Runner {
    let mut runner = Runner::new();
    install(&mut runner);
    runner
}

#[test]
fn a_release_is_installed_as_a_command_and_as_a_plugin() {
    let runner = runner();
    let outputs = runner.action(&json!({})).unwrap();
    assert_eq!(outputs["version"], "9.9.9");
    assert!(runner.path("temp/buildcache-9.9.9/bin/buildcache").is_file());
    assert!(runner.path("home/.docker/cli-plugins/docker-buildcache").is_file());
}

#[test]
fn an_archive_whose_checksum_is_another_or_unknown_is_not_unpacked() {
    let runner = runner();
    let refused = runner.action(&json!({ "version": "9.9.9", "sha256": "0".repeat(64) })).unwrap_err();
    assert!(refused.0 == 1 && refused.1.contains("is expected"), "{refused:?}");
    let unknown = runner.action(&json!({ "version": "9.9.8" })).unwrap_err();
    assert!(unknown.1.contains("the checksum of"), "{unknown:?}");
    assert!(!runner.path("temp/buildcache-9.9.9/bin").exists());
}

#[test]
fn verbs_run_up_to_the_first_that_fails_and_nothing_in_them_is_evaluated() {
    let runner = runner();
    let failed = runner.action(&json!({ "run": "inspect type=local,src=nowhere\nspecs\n" })).unwrap_err();
    assert!(failed.0 == 4 && !failed.1.contains("type=local\n"), "{failed:?}");
    let _ = runner.action(&json!({ "run": "specs $(touch${IFS}evaluated)\n" }));
    assert!(!runner.path("work/evaluated").exists());
}

#[test]
fn the_cache_service_reaches_the_verbs_only_when_asked_for() {
    let (places, sandbox) = (Places::new(), Sandbox::with("v0.32/max-manifest"));
    let variables: BTreeMap<&str, String> = places.runtime().into();
    let mut copy = sandbox.command(&["copy", "type=local,src=a", "type=gha,scope=app"]);
    assert!(copy.envs(&variables).output().unwrap().status.success());

    let mut runner = runner();
    runner.runtime = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let with = |runtime: &str| json!({ "runtime": runtime, "run": "verify --fast type=gha,scope=app", "summary": "type=gha,scope=app" });
    assert_eq!(runner.action(&with("false")).unwrap_err().0, 2);
    let outputs = runner.action(&with("true")).unwrap();
    assert_eq!(outputs["exit-code"], "0");
    let summary = fs::read_to_string(runner.path("summary")).unwrap();
    assert!(summary.contains("records") && summary.contains("sound"), "{summary}");
}
