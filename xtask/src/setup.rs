//! `cargo xtask setup`: makes sure that what the tests need is there.
//!
//! A machine has Rust, a C compiler, Python and Node. Everything else is a step below. A step looks first, so that it
//! can run any number of times, and never compiles a cargo tool from source.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::args::Args;
use crate::failure::Failure;
use crate::process;

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
    Step { name: "azurite", run: azurite },
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

/// Microsoft's emulator of Azure Storage, from npm, in a folder of the user's cache; the tests look for it there.
fn azurite() -> Result<Outcome, Failure> {
    const VERSION: &str = "3.35.0";
    const SKIPPED: &str = "the tests of a real Azure Blob Storage are skipped";
    let Some(folder) = cache_folder().map(|cache| cache.join(format!("azurite-{VERSION}"))) else {
        return Ok(Outcome::Absent(SKIPPED));
    };
    let program = folder.join("node_modules/.bin/azurite-blob");
    if program.exists() {
        return Ok(Outcome::Found(VERSION.to_owned()));
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&folder);
    let is_made = std::fs::create_dir_all(&folder).is_ok()
        && process::output(npm.arg(format!("azurite@{VERSION}"))).is_ok()
        && program.exists();
    Ok(if is_made { Outcome::Installed(format!("{VERSION} with npm")) } else { Outcome::Absent(SKIPPED) })
}

/// What the tests need and no system package has.
fn cache_folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(cache.or_else(|| Some(env::home_dir()?.join(".cache")))?.join("buildcache-tests"))
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
