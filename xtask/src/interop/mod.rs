//! `cargo xtask interop`: passes caches of a real BuildKit through `buildcache` and back into BuildKit, and checks that
//! the steps of the build are hits.

mod build;
mod buildkit;
mod differential;
mod docker;

use std::path::Path;

use crate::args::Args;
use crate::demo;
use crate::failure::Failure;
use crate::scratch::Scratch;
use crate::servers::buildkit::{Daemon, Snapshots, Tools};
use crate::workspace::Workspace;

/// Starts a BuildKit and calls `run` with the daemon's address, a folder to build, and the folder of `buildctl`. If
/// BuildKit is not installed, a line says so, and nothing runs.
pub(crate) fn with_buildkit(run: impl FnOnce(&str, &Path, &Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let tools = match buildkit_tools() {
        Ok(tools) => tools,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let scratch = Scratch::new("buildkit")?;
    let daemon = Daemon::start(&tools, scratch.path(), Snapshots::Copied)?;
    let context = build::prepare(scratch.path())?;
    run(daemon.address(), &context, tools.folder())
}

fn buildkit_tools() -> Result<Tools, String> {
    Tools::find().map_err(|reason| format!("the round trip through buildkitd: {reason}"))
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    let (buildkit, docker) = (buildkit_tools(), docker::Tools::find());
    let peer = differential::peer();
    if let Ok(peer) = &peer {
        differential::compare(peer)?;
    }
    if buildkit.is_ok() || docker.is_ok() {
        let buildcache = demo::build(&Workspace::load()?, &[])?;
        if let Ok(tools) = &buildkit {
            buildkit::round_trip(tools, &buildcache)?;
        }
        if let Ok(tools) = &docker {
            docker::round_trip(tools, &buildcache)?;
        }
    }
    for reason in buildkit.err().into_iter().chain(docker.err()).chain(peer.err()) {
        println!("skipped: {reason}");
    }
    Ok(())
}
