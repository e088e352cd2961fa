//! `cargo xtask recipes`: runs every workflow of `docs/recipes` with servers on loopback.
//!
//! The runs are tests of `cache-cli`, in which `docker` is a stand-in. If BuildKit is installed, they run a second time
//! with its `buildctl`.

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
