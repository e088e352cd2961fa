//! The round trip through `buildkitd`, with caches in directories.

mod explain;
mod leaves;
mod trip;

use std::path::Path;

use self::trip::Trip;
use crate::failure::Failure;
use crate::scratch::Scratch;
use crate::servers::buildkit::{Daemon, Snapshots, Tools};

/// Passes a cache of BuildKit through each verb that writes a cache, and imports it again.
pub(super) fn round_trip(tools: &Tools, buildcache: &Path) -> Result<(), Failure> {
    let scratch = Scratch::new("interop-buildkit")?;
    let daemon = Daemon::start(tools, scratch.path(), Snapshots::Copied)?;
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
