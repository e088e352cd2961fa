//! `cargo xtask setup`: makes sure that what the tests need is there.
//!
//! A machine has Rust, a C compiler, Python and Node. Everything else is a step below. A step looks first, so that it
//! can run any number of times, and never compiles a cargo tool from source.

use std::process::Command;

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// What a step found or did.
enum Outcome {
    /// It was there already; the text says which version.
    Found(String),
    /// It was not there and is now; the text says which version and from where.
    Installed(String),
    /// It is not there and the tests do without it; the text says how.
    Absent(&'static str),
}

/// One thing that the tests need.
struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome, Failure>,
}

const STEPS: [Step; 3] = [
    Step { name: "cargo-nextest", run: nextest },
    Step { name: "docker-registry", run: docker_registry },
    Step { name: "@actions/cache", run: actions_cache },
];

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    set_up()
}

/// Runs every step; each says one line.
pub(crate) fn set_up() -> Result<(), Failure> {
    for step in &STEPS {
        let said = match (step.run)().map_err(|failure| failure.within(step.name))? {
            Outcome::Found(version) => format!("found {version}"),
            Outcome::Installed(version) => format!("installed {version}"),
            Outcome::Absent(instead) => format!("not installed, {instead}"),
        };
        println!("setup: {}: {said}", step.name);
    }
    Ok(())
}

/// Says whether `cargo nextest` can run.
pub(crate) fn has_nextest() -> bool {
    nextest_version().is_some()
}

fn nextest() -> Result<Outcome, Failure> {
    Ok(nextest_version().map_or(Outcome::Absent("the tests run with `cargo test`"), Outcome::Found))
}

fn nextest_version() -> Option<String> {
    let text = process::output(&mut process::cargo(["nextest", "--version"])).ok()?;
    text.split_whitespace().nth(1).map(str::to_owned)
}

/// Debian's registry, for the tests against a real one; root installs it without being asked.
fn docker_registry() -> Result<Outcome, Failure> {
    const SKIPPED: &str = "the tests of a real registry are skipped";
    if let Some(version) = docker_registry_version() {
        return Ok(Outcome::Found(version));
    }
    if !is_root() || !(apt(&["install", "docker-registry"]) || update_and_install("docker-registry")) {
        return Ok(Outcome::Absent(SKIPPED));
    }
    let version = docker_registry_version();
    Ok(version.map_or(Outcome::Absent(SKIPPED), |version| Outcome::Installed(format!("{version} with apt-get"))))
}

/// `docker-registry github.com/docker/distribution 2.8.2+ds1`: the last word.
fn docker_registry_version() -> Option<String> {
    let text = process::output(Command::new("docker-registry").arg("--version")).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}

/// The version of `@actions/cache` that the tests were written against.
const ACTIONS_CACHE: &str = "6.3.0";

/// The official client of the cache service of GitHub Actions, in `target/npm`, where there is npm.
fn actions_cache() -> Result<Outcome, Failure> {
    const SKIPPED: &str = "the test of the official Actions client is skipped";
    let folder = Workspace::load()?.target.join("npm");
    if folder.join("node_modules/@actions/cache/lib/cache.js").is_file() {
        return Ok(Outcome::Found(ACTIONS_CACHE.to_owned()));
    }
    let made = std::fs::create_dir_all(&folder);
    let mut command = Command::new("npm");
    command.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&folder);
    let is_installed = made.is_ok() && process::output(command.arg(format!("@actions/cache@{ACTIONS_CACHE}"))).is_ok();
    Ok(if is_installed { Outcome::Installed(format!("{ACTIONS_CACHE} with npm")) } else { Outcome::Absent(SKIPPED) })
}

/// Whether this user may do everything.
pub(crate) fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|text| text.trim() == "0")
}

fn update_and_install(package: &str) -> bool {
    apt(&["update"]) && apt(&["install", package])
}

fn apt(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(["--yes", "--quiet", "--no-install-recommends"]).args(arguments);
    process::output(command.env("DEBIAN_FRONTEND", "noninteractive")).is_ok()
}
