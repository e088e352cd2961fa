//! The round trip through the BuildKit in `dockerd`, over a registry: an inline cache is copied to an ordinary cache,
//! and that one into an image again.

mod daemon;

use std::path::{Path, PathBuf};
use std::process::Command;

use self::daemon::Daemon;
use super::build;
use crate::failure::Failure;
use crate::hits::{self, Hits};
use crate::process;
use crate::scratch::Scratch;
use crate::servers::find_debian;
use crate::servers::registry::Registry;
use crate::setup;

/// The paths of Docker's programs.
pub(super) struct Tools {
    dockerd: PathBuf,
    docker: PathBuf,
    registry: PathBuf,
}

impl Tools {
    /// Searches Debian's folders, then `PATH`: the `docker` of another release may need `buildx` to build.
    ///
    /// The error says which program is missing and how to get it.
    pub(super) fn find() -> Result<Self, String> {
        let find = |name: &str, package: &str| find_debian(name, package).map_err(|reason| because(&reason));
        let tools = Self {
            dockerd: find("dockerd", "docker.io")?,
            docker: find("docker", "docker.io")?,
            registry: Registry::find().map_err(|reason| because(&reason))?,
        };
        if setup::is_root() { Ok(tools) } else { Err(because("only root can start it")) }
    }
}

fn because(reason: &str) -> String {
    format!("the round trip through dockerd: {reason}")
}

/// Inline cache → copy → cache in the registry → copy → inline cache.
pub(super) fn round_trip(tools: &Tools, buildcache: &Path) -> Result<(), Failure> {
    let scratch = Scratch::new("interop-docker")?;
    let registry = Registry::start(&tools.registry, scratch.path())?;
    let daemon = Daemon::start(tools, scratch.path())?;
    let context = build::prepare(scratch.path())?;
    let trip = Trip { buildcache, daemon: &daemon, context: &context };
    let [image, cache, plain] = ["inline", "cache", "plain"].map(|tag| registry.reference(tag));
    trip.extract(&image, &cache)?;
    trip.embed(&cache, &plain)
}

/// What the stages of the round trip need.
struct Trip<'a> {
    buildcache: &'a Path,
    daemon: &'a Daemon,
    context: &'a Path,
}

impl Trip<'_> {
    /// Copies the inline cache of a new image to an ordinary cache.
    fn extract(&self, image: &str, cache: &str) -> Result<(), Failure> {
        self.build(Hits::None, &["--build-arg", "BUILDKIT_INLINE_CACHE=1", "--tag", image])?;
        self.daemon.push(image)?;
        // BuildKit before v0.12 cannot read an image manifest.
        self.copy(image, &format!("type=registry,ref={cache},image-manifest=false"))?;
        self.build_afresh(Hits::None, &[])?;
        self.build_afresh(Hits::Every, &["--cache-from", cache])?;
        self.conclude("the copy of an inline cache")
    }

    /// Copies the cache into an image with the same layers and without a cache.
    fn embed(&self, cache: &str, image: &str) -> Result<(), Failure> {
        self.build_afresh(Hits::Every, &["--cache-from", cache, "--tag", image])?;
        self.daemon.push(image)?;
        self.build_afresh(Hits::None, &["--cache-from", image])?;
        self.copy(cache, &format!("type=inline,image={image}"))?;
        self.build_afresh(Hits::Every, &["--cache-from", image])?;
        self.conclude("the inline cache")
    }

    fn conclude(&self, what: &str) -> Result<(), Failure> {
        println!("\ninterop: {} imported {what} and every step was CACHED\n", self.daemon.version()?);
        Ok(())
    }

    fn build(&self, hits: Hits, args: &[&str]) -> Result<(), Failure> {
        let name = [&["docker build"], args].concat().join(" ");
        hits::expect(hits, &name, self.daemon.build(args).arg(self.context))
    }

    /// Builds with an empty daemon.
    fn build_afresh(&self, hits: Hits, args: &[&str]) -> Result<(), Failure> {
        self.daemon.prune()?;
        self.build(hits, args)
    }

    fn copy(&self, source: &str, destination: &str) -> Result<(), Failure> {
        let source = format!("type=registry,ref={source}");
        process::run(Command::new(self.buildcache).args(["copy", &source, destination]))
    }
}
