//! Temporary files: each writer has a directory of its own in `ingest/`, and a lock that tells whether it is alive.
//!
//! It is a directory because containerd's store, which BuildKit runs on the same place, takes everything in `ingest/`
//! for one. `ingest/` itself stays: a BuildKit that is exporting makes it once and then relies on it.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cache_core::{ErrorKind, Result, random_number};

use crate::error::{at, io};
use crate::layout::{Layout, create_dirs, is_older_than};
use crate::lock::{Attempt, try_lock};

const PREFIX: &str = "buildcache-";
const LOCK: &str = "lock";

/// How often a name is made up that a cleaner takes away before it is locked.
const CLAIM_TRIES: usize = 100;

/// How long a temporary directory of somebody else counts as in use after it was written to.
const FOREIGN_IN_USE: Duration = Duration::from_secs(3600);

/// A writer's own directory for temporary files, removed with everything in it when the writer is done.
#[derive(Debug)]
pub(crate) struct Ingest {
    dir: PathBuf,
    started: SystemTime,
    next: AtomicU64,
    /// Held until the directory is gone.
    _lock: File,
}

/// A file that is being written; it is removed unless it is put in place.
pub(crate) struct TempFile {
    path: PathBuf,
    /// Keeps the directory.
    _ingest: Arc<Ingest>,
}

impl Ingest {
    /// Removes what dead writers left, and makes a directory.
    pub(crate) fn open(layout: &Layout) -> Result<Arc<Self>> {
        let parent = layout.ingest_dir();
        create_dirs(&parent)?;
        remove_dead(&parent);
        for _ in 0..CLAIM_TRIES {
            let dir = parent.join(format!("{PREFIX}{:016x}", random_number()));
            if let Some(lock) = claim(&dir).map_err(|error| io(error, "cannot create the temporary directory", &dir))? {
                let started = lock.metadata().and_then(|metadata| metadata.modified());
                // The file system's clock, since it is compared with the ages of files.
                let started = started.unwrap_or_else(|_| SystemTime::now());
                return Ok(Arc::new(Self { dir, started, next: AtomicU64::new(0), _lock: lock }));
            }
            create_dirs(&parent)?;
        }
        Err(at(ErrorKind::Storage, "temporary directories are removed as soon as they are made", &parent))
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// When the writer started, by the clock of the file system.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Makes an empty file.
    pub(crate) fn create(self: &Arc<Self>) -> Result<(TempFile, File)> {
        let path = self.dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| io(error, "cannot create the temporary file", &path))?;
        Ok((TempFile { path, _ingest: Arc::clone(self) }, file))
    }

    /// Writes a small file that is to replace the one at `path`, whose mode it gets, or 0644.
    pub(crate) fn write(self: &Arc<Self>, path: &Path, content: &[u8]) -> Result<TempFile> {
        let (temp, mut file) = self.create()?;
        let written = file.write_all(content).and_then(|()| keep_mode(&file, path)).and_then(|()| file.sync_all());
        written.map_err(|error| io(error, "cannot write the file", path))?;
        Ok(temp)
    }

    /// Whether somebody else is writing to the directory, as far as can be told.
    pub(crate) fn has_company(&self) -> bool {
        let Some(entries) = self.dir.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
            return true;
        };
        entries.into_iter().any(|entry| match entry {
            Ok(entry) if entry.path() == self.dir => false,
            Ok(entry) if is_ours(&entry) => !matches!(try_lock(&entry.path().join(LOCK)), Ok(Attempt::Locked(_))),
            Ok(entry) => !is_abandoned(&entry.path()),
            Err(_) => true,
        })
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next writer.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl TempFile {
    /// Renames the file; a file that is there is replaced.
    pub(crate) fn persist(self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).map_err(|error| io(error, "cannot put the file in place", path))
    }

    /// Where it is until then.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Gone when it was put in place; else the directory's end takes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the directory `dir` and locks it; `None` when a cleaner was quicker.
fn claim(dir: &Path) -> io::Result<Option<File>> {
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if is_taken_or_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    match try_lock(&dir.join(LOCK)) {
        Ok(Attempt::Locked(lock)) => Ok(Some(lock)),
        Ok(Attempt::Held | Attempt::Gone) => Ok(None),
        Err(error) if is_taken_or_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_taken_or_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
}

/// Removes every directory of a writer that is dead, whose lock can be taken, and says how many there were.
///
/// What cannot be removed is left to the next writer. Two cleaners do not harm each other: one has the lock, and the
/// names are used once, so that nothing alive can stand where the dead one stood.
pub(crate) fn remove_dead(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten().filter(is_ours) {
        if let Ok(Attempt::Locked(_lock)) = try_lock(&entry.path().join(LOCK)) {
            removed += usize::from(fs::remove_dir_all(entry.path()).is_ok());
        }
    }
    removed
}

fn is_ours(entry: &DirEntry) -> bool {
    let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
    is_dir && entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
}

/// Whether nobody has written to BuildKit's temporary directory for long; it has no lock to tell.
fn is_abandoned(dir: &Path) -> bool {
    let is_old = |path: &Path| fs::metadata(path).is_ok_and(|metadata| is_older_than(&metadata, FOREIGN_IN_USE));
    let data = dir.join("data");
    is_old(dir) && (is_old(&data) || !data.exists())
}

#[cfg(unix)]
fn keep_mode(file: &File, replaced: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(replaced) {
        Ok(metadata) => file.set_permissions(metadata.permissions()),
        // Made as 0666 without the umask; BuildKit's mode is 0644.
        Err(_) => {
            let mode = file.metadata()?.permissions().mode();
            file.set_permissions(fs::Permissions::from_mode(mode & 0o644))
        }
    }
}

#[cfg(not(unix))]
fn keep_mode(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
