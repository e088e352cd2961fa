//! The round trip through a `buildkitd`, by way of a cache in a directory.

mod daemon;
mod explain;
mod leaves;
mod trip;

use std::env;
use std::path::{Path, PathBuf};

pub(super) use self::daemon::Daemon;
use self::trip::Trip;
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

    /// Where `buildctl` is.
    pub(super) fn folder(&self) -> &Path {
        self.buildctl.parent().unwrap_or(&self.buildctl)
    }
}

/// What BuildKit wrote goes through each verb that writes a cache, and back into BuildKit.
pub(super) fn round_trip(tools: &Tools, buildcache: &Path) -> Result<(), Failure> {
    let scratch = Scratch::new("interop-buildkit")?;
    let daemon = Daemon::start(tools, scratch.path())?;
    let trip = Trip::start(&daemon, buildcache, scratch.path())?;
    trip.copy()?;
    trip.convert()?;
    trip.merge()?;
    trip.repair()?;
    explain::explain(&daemon, buildcache, scratch.path())?;
    drop(daemon);
    leaves::imports(tools, buildcache, scratch.path())?;
    println!();
    Ok(())
}
