//! One round: every way to export and import, each measured once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Programs;
use super::data::{BUILD, CONTEXT};
use super::figures::Figures;
use super::store::{Kind, Store};
use crate::failure::Failure;
use crate::hits::{self, Hits};
use crate::process;
use crate::servers::buildkit::{Daemon, Snapshots};

/// The compressions of `buildcache copy` that are measured.
const COMPRESSIONS: [&str; 2] = ["gzip", "zstd"];

/// What is measured.
pub(super) struct Contest<'a> {
    pub(super) programs: &'a Programs,
    /// The folder in which each measurement has its own folder.
    pub(super) directory: &'a Path,
    pub(super) context: &'a Path,
    pub(super) kind: Kind,
    /// The program of the store.
    pub(super) store: &'a Path,
}

/// A folder for one measurement.
struct Home(PathBuf);

impl Contest<'_> {
    /// Measures everything. The order changes from round to round.
    pub(super) fn round(&self, round: usize, figures: &mut Figures) -> Result<(), Failure> {
        if round.is_multiple_of(2) {
            self.straight(figures)?;
            self.by_directory(round, figures)
        } else {
            self.by_directory(round, figures)?;
            self.straight(figures)
        }
    }

    /// Measures BuildKit's own export to the store.
    fn straight(&self, figures: &mut Figures) -> Result<(), Failure> {
        for compression in self.kind.compressions_of_buildkit() {
            let home = self.home("straight")?;
            let daemon = self.built(&home)?;
            let store = Store::start(self.kind, self.store, &home.0)?;
            let export = format!("{},mode=max,compression={compression}", store.spec());
            let seconds = timed(daemon.build(self.context, BUILD).args(["--export-cache", &export]))?;
            drop(daemon);
            figures.exported(compression, seconds, store.megabytes()?);
            figures.imported_from_buildkit(compression, self.import(&store)?);
        }
        Ok(())
    }

    /// Measures BuildKit's export to a directory, and the copies from there to the store.
    fn by_directory(&self, round: usize, figures: &mut Figures) -> Result<(), Failure> {
        let home = self.home("directory")?;
        let cache = home.0.join("cache");
        let daemon = self.built(&home)?;
        let export = format!("type=local,dest={},mode=max,compression=uncompressed", cache.display());
        figures.left(timed(daemon.build(self.context, BUILD).args(["--export-cache", &export]))?);
        drop(daemon);
        for compression in COMPRESSIONS {
            let mut programs = vec![(&self.programs.buildcache, true)];
            programs.extend(self.programs.old.as_ref().map(|old| (old, false)));
            if !round.is_multiple_of(2) {
                programs.reverse();
            }
            for (program, is_new) in programs {
                self.copy(program, is_new, &cache, compression, figures)?;
            }
        }
        Ok(())
    }

    fn copy(
        &self,
        program: &Path,
        is_new: bool,
        cache: &Path,
        compression: &str,
        figures: &mut Figures,
    ) -> Result<(), Failure> {
        let home = self.home("copy")?;
        let store = Store::start(self.kind, self.store, &home.0)?;
        let mut command = Command::new(program);
        command.args(["--quiet", "copy", "--compression", compression, "--force-compression"]);
        let seconds = timed(command.arg(format!("type=local,src={}", cache.display())).arg(store.spec()))?;
        if !is_new {
            figures.copied_by_old(compression, seconds);
            return Ok(());
        }
        figures.copied(compression, seconds, store.megabytes()?);
        figures.imported_from_copy(compression, self.import(&store)?);
        Ok(())
    }

    /// A daemon that has built everything.
    fn built(&self, home: &Home) -> Result<Daemon, Failure> {
        let daemon = Daemon::start(&self.programs.buildkit, &home.0, Snapshots::Best)?;
        process::output(&mut daemon.build(self.context, BUILD))?;
        Ok(daemon)
    }

    /// The time in which an empty daemon with the context imports the cache and outputs all layers.
    fn import(&self, store: &Store) -> Result<f64, Failure> {
        let home = self.home("import")?;
        let daemon = Daemon::start(&self.programs.buildkit, &home.0, Snapshots::Best)?;
        process::output(&mut daemon.build(self.context, CONTEXT))?;
        let mut build = daemon.build(self.context, BUILD);
        build.args(["--import-cache", store.spec(), "--output"]);
        build.arg(format!("type=tar,dest={}", home.0.join("out.tar").display()));
        sync()?;
        let start = Instant::now();
        let (has_hit, log) = hits::try_to(Hits::Every, &mut build)?;
        let seconds = start.elapsed().as_secs_f64();
        if has_hit { Ok(seconds) } else { Err(Failure::new(format!("expected {}; it said:\n{log}", Hits::Every))) }
    }

    fn home(&self, name: &str) -> Result<Home, Failure> {
        let path = self.directory.join(name);
        fs::create_dir(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Home(path))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// The time of a command, in seconds. Earlier writes are flushed to disk first.
fn timed(command: &mut Command) -> Result<f64, Failure> {
    sync()?;
    let start = Instant::now();
    process::output(command.stdin(Stdio::null()))?;
    Ok(start.elapsed().as_secs_f64())
}

fn sync() -> Result<(), Failure> {
    process::output(&mut Command::new("sync")).map(drop)
}
