//! `cargo xtask test`: runs `setup`, then every test with all features.
//!
//! The documentation tests come first, so that the last line is the summary of the main run.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::setup;
use crate::workspace::{Member, Workspace};

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let krate = args.option("--crate")?;
    args.finish()?;
    let workspace = Workspace::load()?;
    let scope = workspace.scope(krate.as_deref())?;
    test(&scope, krate.as_deref())
}

/// Runs the documentation tests and the other tests of the members, the latter even if the former fail.
pub(crate) fn test(scope: &[&Member], krate: Option<&str>) -> Result<(), Failure> {
    setup::set_up();
    let documentation = if scope.iter().any(|member| member.has_library) {
        process::run(process::cargo(["test", "--doc"]).args(selection(krate)))
    } else {
        Ok(())
    };
    let runner: &[&str] = if setup::has_nextest() {
        &["nextest", "run", "--no-tests", "warn"]
    } else {
        &["test", "--tests", "--no-fail-fast"]
    };
    let tests = process::run(process::cargo(runner).args(selection(krate)));
    tests.and(documentation)
}

/// The flags that select one crate or all. They are the same in every step, so that steps share what is compiled.
pub(crate) fn selection(krate: Option<&str>) -> Vec<&str> {
    let mut flags = krate.map_or_else(|| vec!["--workspace"], |name| vec!["--package", name]);
    flags.extend(["--all-features", "--locked"]);
    flags
}
