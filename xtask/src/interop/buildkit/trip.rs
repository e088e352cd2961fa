//! Caches that go from BuildKit through a verb of `buildcache` and back, in directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::hits::{self, Hits};
use crate::interop::build::{self, SIBLING_FILE};
use crate::process;
use crate::servers::buildkit::Daemon;

/// The Dockerfile of the build.
const FILE: &str = "Dockerfile";
/// The exit status of `verify` with findings.
const FINDINGS: i32 = 3;

/// A build whose cache BuildKit has exported to a directory, and what the round trips need.
pub(super) struct Trip<'a> {
    daemon: &'a Daemon,
    buildcache: &'a Path,
    directory: &'a Path,
    context: PathBuf,
    written: PathBuf,
}

impl<'a> Trip<'a> {
    /// Builds without a cache and exports one.
    pub(super) fn start(daemon: &'a Daemon, buildcache: &'a Path, directory: &'a Path) -> Result<Self, Failure> {
        let context = build::prepare(directory)?;
        let trip = Self { daemon, buildcache, directory, context, written: directory.join("written") };
        trip.build(Hits::None, FILE, &["--export-cache", &exported(&trip.written)])?;
        Ok(trip)
    }

    /// A copy gives the same hits as its source.
    pub(super) fn copy(&self) -> Result<(), Failure> {
        let copied = self.directory.join("copied");
        self.run(&["copy", &imported(&self.written), &exported(&copied)])?;
        self.run(&["verify", &imported(&copied)])?;
        self.build_afresh(Hits::None, FILE, None)?;
        self.build_afresh(Hits::Every, FILE, Some(&copied))?;
        self.conclude("the copy")
    }

    /// A copy in another compression gives the same hits as its source.
    pub(super) fn convert(&self) -> Result<(), Failure> {
        for compression in ["zstd", "estargz", "uncompressed"] {
            let converted = self.directory.join(compression);
            let destination = exported(&converted);
            let flags = ["copy", "--compression", compression, "--force-compression"];
            self.run(&[&flags[..], &[&imported(&self.written), &destination]].concat())?;
            self.run(&["verify", &imported(&converted)])?;
            self.build_afresh(Hits::Every, FILE, Some(&converted))?;
            self.conclude(&format!("the cache in {compression}"))?;
        }
        Ok(())
    }

    /// A merged cache gives the hits of both of its sources.
    pub(super) fn merge(&self) -> Result<(), Failure> {
        let (sibling, merged) = (self.directory.join("sibling"), self.directory.join("merged"));
        self.daemon.prune()?;
        self.build(Hits::None, SIBLING_FILE, &["--export-cache", &exported(&sibling)])?;
        self.build_afresh(Hits::But(&["/two", "/one /one"]), FILE, Some(&sibling))?;
        self.run(&["merge", &imported(&self.written), &imported(&sibling), "--to", &exported(&merged)])?;
        self.run(&["verify", &imported(&merged)])?;
        self.build_afresh(Hits::Every, FILE, Some(&merged))?;
        self.build_afresh(Hits::Every, SIBLING_FILE, Some(&merged))?;
        self.conclude("the merged cache")
    }

    /// A repaired cache that lost the layer of one step still gives the hits that do not need that layer.
    pub(super) fn repair(&self) -> Result<(), Failure> {
        let (damaged, repaired) = (self.directory.join("damaged"), self.directory.join("repaired"));
        self.run(&["copy", &imported(&self.written), &exported(&damaged)])?;
        let layer = layer_with(&damaged, "two")?;
        fs::remove_file(&layer).map_err(|error| Failure::io("remove", &layer, &error))?;
        let mut verify = Command::new(self.buildcache);
        let verdict = process::run(verify.args(["verify", &imported(&damaged)]));
        if !verdict.is_err_and(|failure| i32::from(failure.status()) == FINDINGS) {
            return Err(Failure::new("verify did not find the layer that is gone"));
        }
        self.run(&["repair", &imported(&damaged), "--to", &exported(&repaired)])?;
        self.run(&["verify", &imported(&repaired)])?;
        self.build_afresh(Hits::But(&["/two", "/one /one"]), FILE, Some(&repaired))?;
        self.conclude("the repaired cache")
    }

    fn conclude(&self, what: &str) -> Result<(), Failure> {
        println!("interop: {} imported {what} with the hits expected", self.daemon.version()?);
        Ok(())
    }

    fn run(&self, words: &[&str]) -> Result<(), Failure> {
        process::run(Command::new(self.buildcache).args(words))
    }

    fn build(&self, hits: Hits, file: &str, args: &[&str]) -> Result<(), Failure> {
        let name = [&["buildctl build", file], args].concat().join(" ");
        hits::expect(hits, &name, self.daemon.build(&self.context, file).args(args))
    }

    /// Builds with an empty daemon.
    fn build_afresh(&self, hits: Hits, file: &str, cache: Option<&Path>) -> Result<(), Failure> {
        self.daemon.prune()?;
        match cache {
            Some(cache) => self.build(hits, file, &["--import-cache", &imported(cache)]),
            None => self.build(hits, file, &[]),
        }
    }
}

pub(super) fn imported(directory: &Path) -> String {
    format!("type=local,src={}", directory.display())
}

pub(super) fn exported(directory: &Path) -> String {
    format!("type=local,dest={},mode=max", directory.display())
}

/// The layer of a cache that contains a file of this name.
pub(super) fn layer_with(cache: &Path, name: &str) -> Result<PathBuf, Failure> {
    let blobs = cache.join("blobs/sha256");
    let entries = fs::read_dir(&blobs).map_err(|error| Failure::io("read", &blobs, &error))?;
    let lists = |blob: &PathBuf| {
        let listed = Command::new("tar").arg("-tzf").arg(blob).stderr(Stdio::null()).output();
        listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == name))
    };
    let found = entries.filter_map(|entry| Some(entry.ok()?.path())).find(lists);
    found.ok_or_else(|| Failure::new(format!("no layer of {} holds a file `{name}`", cache.display())))
}
