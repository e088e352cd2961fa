//! The caches of two builds, merged, and what is left of the merged one after it lost a layer.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::daemon::Daemon;
use crate::failure::Failure;
use crate::interop::build::{self, Hits, OTHER_NAME};
use crate::process;

/// A build hits in the merged cache like in its own; after a repair, wherever no lost layer is needed.
pub(super) fn merge_and_repair(
    daemon: &Daemon,
    scratch: &Path,
    context: &Path,
    buildcache: &Path,
) -> Result<(), Failure> {
    let filename = format!("filename={OTHER_NAME}");
    let other = ["--opt", filename.as_str()];
    let build = |hits, is_other: bool, cache: &[&str]| {
        let build: &[&str] = if is_other { &other } else { &[] };
        let name = [&["buildctl build"], build, cache].concat().join(" ");
        daemon.prune()?;
        build::expect(hits, &name, daemon.build(context).args(build).args(cache))
    };
    let place = |name: &str| scratch.join(name);
    let source = |name: &str| format!("type=local,src={}", place(name).display());
    let buildcache = |args: &[&str]| process::run(Command::new(buildcache).args(args));

    for (name, is_other) in [("one", false), ("two", true)] {
        let export = format!("type=local,dest={},mode=max", place(name).display());
        build(Hits::None, is_other, &["--export-cache", &export])?;
    }
    let merged = source("merged");
    buildcache(&["merge", &source("two"), &source("one"), "--to", &merged])?;
    buildcache(&["verify", &merged])?;
    let import = ["--import-cache", &merged];
    build(Hits::Every, false, &import)?;
    build(Hits::Every, true, &import)?;

    lose(&place("merged"), &place("two"), &place("one"))?;
    if buildcache(&["verify", "--fast", &merged]).is_ok() {
        return Err(Failure::new("verify did not find the layer that is lost"));
    }
    buildcache(&["repair", "--fast", &merged])?;
    buildcache(&["verify", &merged])?;
    build(Hits::Every, false, &import)?;
    build(Hits::Some(1), true, &import)?;
    println!("\ninterop: the merged cache served both builds, and the repaired one what it still had\n");
    Ok(())
}

/// Takes the blobs away that a cache has of `of` and not of `but`: the last layer of the other build.
fn lose(cache: &Path, of: &Path, but: &Path) -> Result<(), Failure> {
    let (own, of, but) = (blobs(cache)?, blobs(of)?, blobs(but)?);
    for blob in own.intersection(&of).filter(|blob| !but.contains(*blob)) {
        let path = cache.join("blobs/sha256").join(blob);
        fs::remove_file(&path).map_err(|error| Failure::io("delete", &path, &error))?;
    }
    Ok(())
}

fn blobs(cache: &Path) -> Result<BTreeSet<OsString>, Failure> {
    let folder = cache.join("blobs/sha256");
    let entries = fs::read_dir(&folder).map_err(|error| Failure::io("read", &folder, &error))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    names.collect::<Result<_, _>>().map_err(|error| Failure::io("read", &folder, &error))
}
