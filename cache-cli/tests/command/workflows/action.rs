//! The action of this repository: what it installs, what it refuses, and what it passes on.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::places::Places;
use super::runner::Runner;
use crate::sandbox::{Sandbox, copy_dir};

const ARCHIVE: &str = "buildcache-9.9.9-x86_64-unknown-linux-musl.tar.gz";
/// Targets of the other archives of the release, which are not unpacked.
const OTHERS: [&str; 4] =
    ["aarch64-unknown-linux-musl", "x86_64-apple-darwin", "aarch64-apple-darwin", "x86_64-pc-windows-msvc"];

/// Installs the action beside a release whose checksum it contains.
pub(super) fn install(runner: &mut Runner) {
    let pins = lay_out(runner);
    fs::write(runner.path("action/action/SHA256SUMS"), pins).unwrap();
}

/// Copies the action of this checkout and makes a release beside it; returns the release's `SHA256SUMS`.
fn lay_out(runner: &mut Runner) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    copy_dir(&repository.join("action"), &runner.path("action/action"));
    fs::copy(repository.join("action.yml"), runner.path("action/action.yml")).unwrap();
    let mut pins = format!("{}  {ARCHIVE}\n", release(runner));
    for target in OTHERS {
        pins += &format!("{}  buildcache-9.9.9-{target}.tar.gz\n", "1".repeat(64));
    }
    pins += &format!("{}  buildcache_9.9.9-1_amd64.deb\n", "2".repeat(64));
    runner.contexts["github"]["server_url"] = format!("file://{}", runner.path("server").display()).into();
    runner.contexts["github"]["action_repository"] = "owner/buildcache".into();
    pins
}

/// Runs a command in the repository of the action; returns whether it succeeded, and its output.
fn bash(runner: &Runner, line: &str) -> (bool, String) {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", line]).current_dir(runner.path("action"));
    for who in ["AUTHOR", "COMMITTER"] {
        bash.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@localhost");
    }
    let output = bash.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Makes the archive of a release, and returns its checksum.
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
fn an_archive_with_a_wrong_or_unknown_checksum_is_not_unpacked() {
    let runner = runner();
    let refused = runner.action(&json!({ "version": "9.9.9", "sha256": "0".repeat(64) })).unwrap_err();
    assert!(refused.0 == 1 && refused.1.contains("is expected"), "{refused:?}");
    let unknown = runner.action(&json!({ "version": "9.9.8" })).unwrap_err();
    assert!(unknown.1.contains("the checksum of"), "{unknown:?}");
    assert!(!runner.path("temp/buildcache-9.9.9/bin").exists());
}

#[test]
fn an_archive_that_was_replaced_after_the_release_is_not_unpacked() {
    let runner = runner();
    let archive = runner.path("server/owner/buildcache/releases/download/v9.9.9").join(ARCHIVE);
    fs::OpenOptions::new().append(true).open(archive).unwrap().write_all(b"more").unwrap();
    let refused = runner.action(&json!({})).unwrap_err();
    assert!(refused.0 == 1 && refused.1.contains("is expected"), "{refused:?}");
    assert!(!runner.path("temp/buildcache-9.9.9/bin").exists());
    assert!(!runner.path("home/.docker/cli-plugins/docker-buildcache").exists());
}

#[test]
fn a_checkout_without_a_release_needs_a_checksum_to_install() {
    let mut runner = Runner::new();
    let pins = lay_out(&mut runner);
    let refused = runner.action(&json!({})).unwrap_err();
    assert!(refused.0 == 1 && refused.1.contains("this is not a release of the action"), "{refused:?}");
    let unknown = runner.action(&json!({ "version": "9.9.9" })).unwrap_err();
    assert!(unknown.1.contains("the checksum of"), "{unknown:?}");
    let sum = pins.split(' ').next().unwrap();
    assert_eq!(runner.action(&json!({ "version": "9.9.9", "sha256": sum })).unwrap()["version"], "9.9.9");
}

#[test]
fn the_tag_of_a_release_is_an_action_that_installs_this_release() {
    let mut runner = Runner::new();
    let sums = lay_out(&mut runner);
    fs::write(runner.path("sums"), &sums).unwrap();
    fs::write(runner.path("fewer"), sums.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    let made = "git init -q && git add . && GIT_COMMITTER_DATE=@1000000000 git commit -qm first";
    assert!(bash(&runner, made).0);
    let (refused, why) = bash(&runner, "bash action/pin.sh 9.9.9 ../fewer");
    assert!(!refused && why.contains("no checksum of buildcache-9.9.9-x86_64-unknown-linux-musl.tar.gz"), "{why}");

    for _ in 0..2 {
        let (pinned, why) = bash(&runner, "bash action/pin.sh 9.9.9 ../sums");
        assert!(pinned, "{why}");
    }
    let told = bash(&runner, "git diff --stat v9.9.9~ v9.9.9; git log --format=%ct v9.9.9").1;
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("action/SHA256SUMS") && lines[1].starts_with("1 file"), "{told}");
    assert_eq!(lines[2..].len(), 2, "{told}");
    assert_eq!(lines[2], lines[3], "what is built of the tag has another time: {told}");

    fs::write(runner.path("others"), sums.replace('1', "3")).unwrap();
    let (refused, why) = bash(&runner, "git reset -q --hard v9.9.9~ && bash action/pin.sh 9.9.9 ../others");
    assert!(!refused && why.contains("is of something else"), "{why}");
    assert!(bash(&runner, "git reset -q --hard v9.9.9").0);
    assert_eq!(runner.action(&json!({})).unwrap()["version"], "9.9.9");
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
