//! `cargo xtask setup`: installs what the tests need.
//!
//! A machine has Rust, a C compiler, Python and Node. Everything else is a step below. A step does nothing if its part
//! is there already, so that it can run any number of times. No step compiles a cargo tool from source.

mod packages;
mod system;

pub(crate) use self::packages::{Package, azurite_package, moto_package, zigbuild};
pub(crate) use self::system::is_root;
use crate::args::Args;
use crate::failure::Failure;
use crate::process;

/// What a step found or did.
enum Outcome {
    /// It was there already, in this version.
    Found(String),
    /// It was installed; the text is the version and the source.
    Installed(String),
    /// It is missing and the tests run without it; the text says how.
    Absent(&'static str),
}

/// One thing that the tests need.
struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

const STEPS: [Step; 6] = [
    Step { name: "cargo-nextest", run: nextest },
    Step { name: "docker-registry", run: system::docker_registry },
    Step { name: "layer tools", run: system::layer_tools },
    Step { name: "moto", run: packages::moto },
    Step { name: "azurite", run: packages::azurite },
    Step { name: "@actions/cache", run: packages::actions_cache },
];

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    set_up();
    Ok(())
}

/// Runs every step; each prints one line.
pub(crate) fn set_up() {
    for step in &STEPS {
        let said = match (step.run)() {
            Outcome::Found(version) => format!("found {version}"),
            Outcome::Installed(version) => format!("installed {version}"),
            Outcome::Absent(instead) => format!("not installed, {instead}"),
        };
        println!("setup: {}: {said}", step.name);
    }
}

/// Whether `cargo nextest` can run.
pub(crate) fn has_nextest() -> bool {
    nextest_version().is_some()
}

fn nextest() -> Outcome {
    nextest_version().map_or(Outcome::Absent("the tests run with `cargo test`"), Outcome::Found)
}

fn nextest_version() -> Option<String> {
    let text = process::output(&mut process::cargo(["nextest", "--version"])).ok()?;
    text.split_whitespace().nth(1).map(str::to_owned)
}
