//! `cargo xtask schemas`: writes `schemas/*.json` anew, from the types that the command writes.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    // A test makes them, so that the library that does is in no program that is handed out.
    let test = ["test", "--package", "cache-cli", "--all-features", "--locked", "--bin", "buildcache", "schemas::"];
    process::run(process::cargo(test).env("UPDATE_SNAPSHOTS", "1"))
}
