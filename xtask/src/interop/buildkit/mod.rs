//! The round trip through a `buildkitd`, by way of a cache in a directory.

mod daemon;
mod whole;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::daemon::Daemon;
use super::build::{self, Hits};
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;

/// Where the programs of BuildKit are.
pub(super) struct Tools {
    buildkitd: PathBuf,
    buildctl: PathBuf,
    runc: PathBuf,
}

impl Tools {
    /// Looks into `$BUILDKIT_BIN`, then into `PATH`; the error says what is not there.
    pub(super) fn find() -> Result<Self, String> {
        let find = |name: &str| {
            let configured = env::var_os("BUILDKIT_BIN").map(PathBuf::from);
            let found = process::find(name, configured.into_iter().chain(process::search_path()));
            found.ok_or_else(|| format!("the round trip through buildkitd: no {name} found (set $BUILDKIT_BIN)"))
        };
        Ok(Self { buildkitd: find("buildkitd")?, buildctl: find("buildctl")?, runc: find("runc")? })
    }
}

/// Local cache → copy → local cache.
pub(super) fn round_trip(tools: &Tools, buildcache: &Path) -> Result<(), Failure> {
    let scratch = Scratch::new("interop-buildkit")?;
    let written = scratch.path().join("written");
    let copied = scratch.path().join("copied");
    let daemon = Daemon::start(tools, scratch.path())?;
    let context = build::prepare(scratch.path())?;
    let build = |hits, cache: &[&str]| {
        let name = [&["buildctl build"], cache].concat().join(" ");
        build::expect(hits, &name, daemon.build(&context).args(cache))
    };

    build(Hits::None, &["--export-cache", &format!("type=local,dest={},mode=max", written.display())])?;
    let (source, destination) = (written.display(), format!("type=local,dest={}", copied.display()));
    process::run(Command::new(buildcache).args(["copy", &format!("type=local,src={source}"), &destination]))?;
    process::run(Command::new(buildcache).args(["verify", &format!("type=local,src={}", copied.display())]))?;

    daemon.prune()?;
    build(Hits::None, &[])?;
    daemon.prune()?;
    build(Hits::Every, &["--import-cache", &format!("type=local,src={}", copied.display())])?;
    println!("\ninterop: {} imported the copy and every step was CACHED\n", daemon.version()?);
    whole::merge_and_repair(&daemon, scratch.path(), &context, buildcache)
}
