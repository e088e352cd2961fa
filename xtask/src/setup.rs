//! `cargo xtask setup`: makes sure that what the tests need is there.
//!
//! A machine has Rust, a C compiler, Python and Node. Everything else is a step below. A step looks first, so that it
//! can run any number of times, and never compiles a cargo tool from source.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;

/// What a step found or did.
enum Outcome {
    /// It was there already; the text says which version.
    Found(String),
    /// It is not there and the tests do without it; the text says how.
    Absent(&'static str),
}

/// One thing that the tests need.
struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome, Failure>,
}

const STEPS: [Step; 1] = [Step { name: "cargo-nextest", run: nextest }];

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    set_up()
}

/// Runs every step; each says one line.
pub(crate) fn set_up() -> Result<(), Failure> {
    for step in &STEPS {
        let said = match (step.run)().map_err(|failure| failure.within(step.name))? {
            Outcome::Found(version) => format!("found {version}"),
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
