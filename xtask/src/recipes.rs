//! `cargo xtask recipes`: every workflow of `docs/recipes`, run on servers of its own.
//!
//! The runs are tests of `cache-cli`, in which `docker` is a stand-in. Where BuildKit is installed they run once more, and its
//! `buildctl` builds.

use crate::args::Args;
use crate::failure::Failure;
use crate::interop;
use crate::process;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    process::run(&mut tests())?;
    interop::with_buildkit(|address, context, tools| {
        let mut again = tests();
        again.env("BUILDKIT_HOST", address).env("BUILDKIT_CONTEXT", context);
        let paths = [tools.to_owned()].into_iter().chain(process::search_path());
        let paths = std::env::join_paths(paths).map_err(|error| Failure::new(format!("PATH: {error}")))?;
        process::run(again.env("PATH", paths))
    })
}

fn tests() -> std::process::Command {
    process::cargo(["test", "--package", "cache-cli", "--all-features", "--locked", "--test", "command", "workflows::"])
}
