//! `cargo xtask interop`: a cache goes from a real BuildKit through `buildcache copy` back into BuildKit, and every step
//! of the build hits.

mod build;
mod daemon;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use self::build::Build;
use self::daemon::Daemon;
use crate::args::Args;
use crate::demo;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// Where the programs of BuildKit are.
struct Tools {
    buildkitd: PathBuf,
    buildctl: PathBuf,
    runc: PathBuf,
}

impl Tools {
    /// Looks into `$BUILDKIT_BIN`, then into `PATH`; the error names what is not there.
    fn find() -> Result<Self, &'static str> {
        let find = |name: &'static str| {
            let configured = env::var_os("BUILDKIT_BIN").map(PathBuf::from);
            process::find(name, configured.into_iter().chain(process::search_path())).ok_or(name)
        };
        Ok(Self { buildkitd: find("buildkitd")?, buildctl: find("buildctl")?, runc: find("runc")? })
    }
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    match Tools::find() {
        Ok(tools) => round_trip(&tools),
        Err(name) => {
            println!("skipped: no {name} found (set $BUILDKIT_BIN)");
            Ok(())
        }
    }
}

fn round_trip(tools: &Tools) -> Result<(), Failure> {
    let buildcache = demo::build(&Workspace::load()?)?;
    let scratch = Scratch::new("interop")?;
    let written = scratch.path().join("written");
    let copied = scratch.path().join("copied");
    let daemon = Daemon::start(tools, scratch.path())?;
    let build = Build::prepare(scratch.path())?;

    build.expect_hits(
        &daemon,
        &["--export-cache", &format!("type=local,dest={},mode=max", written.display())],
        false,
    )?;
    let (source, destination) = (written.display(), format!("type=local,dest={}", copied.display()));
    process::run(Command::new(&buildcache).args(["copy", &format!("type=local,src={source}"), &destination]))?;
    process::run(Command::new(&buildcache).args(["verify", &format!("type=local,src={}", copied.display())]))?;

    daemon.prune()?;
    build.expect_hits(&daemon, &[], false)?;
    daemon.prune()?;
    build.expect_hits(&daemon, &["--import-cache", &format!("type=local,src={}", copied.display())], true)?;
    println!("\ninterop: {} imported the copy and every step was CACHED", daemon.version()?);
    Ok(())
}
