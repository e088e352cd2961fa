//! `cargo xtask schemas`: generates `schemas/*.json` from the types of the documents.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    // A test generates them, so that `schemars` is not part of the released program.
    let test = ["test", "--package", "cache-cli", "--all-features", "--locked", "--bin", "buildcache", "schemas::"];
    process::run(process::cargo(test).env("UPDATE_SNAPSHOTS", "1"))
}
