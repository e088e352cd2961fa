//! Temporary files: each writer has a directory of its own in `ingest/`, and a lock that tells whether it is alive.
//!
//! It is a directory because containerd's store, which BuildKit uses for the same directory, takes everything in
//! `ingest/` for one. `ingest/` itself is kept: BuildKit creates it once for each export and then relies on it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cache_core::model::random_number;
use cache_core::{ErrorKind, Result};

use crate::beneath::{Dir, Named};
use crate::error::{at, io};
use crate::layout::{INGEST, Layout, is_older_than};
use crate::lock::{Attempt, try_lock};

const PREFIX: &str = "buildcache-";
const LOCK: &str = "lock";

/// How many names are tried when a cleaner removes one before it is locked.
const CLAIM_TRIES: usize = 100;

/// How long a temporary directory of another program counts as in use after a write.
const FOREIGN_IN_USE: Duration = Duration::from_secs(3600);

/// A writer's own directory for temporary files, removed with everything in it when the writer is done.
#[derive(Debug)]
pub(crate) struct Ingest {
    root: Arc<Dir>,
    parent: Dir,
    name: String,
    dir: Dir,
    started: SystemTime,
    next: AtomicU64,
    /// Held until the directory is gone.
    _lock: File,
}

/// A file that is being written; it is removed unless it is put in place.
pub(crate) struct TempFile {
    name: String,
    ingest: Arc<Ingest>,
}

impl Ingest {
    /// Removes what dead writers left, and makes a directory.
    pub(crate) fn open(layout: &Layout) -> Result<Arc<Self>> {
        let root = Arc::new(layout.create_root()?);
        for _ in 0..CLAIM_TRIES {
            let parent = parent(&root)?;
            remove_dead(&parent);
            let name = format!("{PREFIX}{:016x}", random_number());
            let claimed = claim(&parent, &name);
            let path = || parent.path().join(&name);
            if let Some((dir, lock)) =
                claimed.map_err(|error| io(error, "cannot create the temporary directory", &path()))?
            {
                let started = lock.metadata().and_then(|metadata| metadata.modified());
                // The file system's clock, to compare with the ages of files.
                let started = started.unwrap_or_else(|_| SystemTime::now());
                return Ok(Arc::new(Self { root, parent, name, dir, started, next: AtomicU64::new(0), _lock: lock }));
            }
        }
        Err(at(ErrorKind::Storage, "temporary directories are removed as soon as they are made", layout.root()))
    }

    /// The directory that it is in.
    pub(crate) fn root(&self) -> &Arc<Dir> {
        &self.root
    }

    /// Its path.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// When the writer started, by the clock of the file system.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Creates an empty file.
    pub(crate) fn create(self: &Arc<Self>) -> Result<(TempFile, File)> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.dir.create_file(&name);
        let temp = TempFile { name, ingest: Arc::clone(self) };
        let file = file.map_err(|error| io(error, "cannot create the temporary file", &temp.path()))?;
        Ok((temp, file))
    }

    /// Writes a small file, to replace the one of this name; it gets that one's mode, or 0644.
    pub(crate) fn write(self: &Arc<Self>, name: &str, content: &[u8]) -> Result<TempFile> {
        let (temp, mut file) = self.create()?;
        let replaced = self.root.file(name).ok();
        let written = file.write_all(content).and_then(|()| keep_mode(&file, replaced)).and_then(|()| file.sync_all());
        written.map_err(|error| io(error, "cannot write the file", &self.root.path().join(name)))?;
        Ok(temp)
    }

    /// Whether another writer is active in the directory, as far as can be told.
    pub(crate) fn has_company(&self) -> bool {
        let Ok(entries) = self.parent.entries() else { return true };
        entries.iter().filter(|entry| entry.name != self.name).any(|entry| match self.parent.dir(&entry.name) {
            Ok(dir) if is_ours(entry) => !matches!(try_lock(&dir, LOCK), Ok(Attempt::Locked(_))),
            _ => !is_abandoned(&self.parent.path().join(&entry.name)),
        })
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next writer.
        remove(&self.parent, &self.name, &self.dir);
    }
}

impl TempFile {
    /// Renames the file into `dir`; an existing file is replaced.
    pub(crate) fn persist(self, dir: &Dir, name: &str) -> Result<()> {
        let renamed = self.ingest.dir.rename(&self.name, dir, name);
        renamed.map_err(|error| io(error, "cannot rename the file into place", &dir.path().join(name)))
    }

    /// Its temporary path.
    pub(crate) fn path(&self) -> PathBuf {
        self.ingest.dir.path().join(&self.name)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // `None` once it was renamed; else it is removed with the directory.
        let _ = self.ingest.dir.remove_file(&self.name);
    }
}

/// Opens the directory of all temporary directories, and creates it if it does not exist.
fn parent(root: &Dir) -> Result<Dir> {
    root.make_dir(INGEST).map_err(|error| io(error, "cannot create the directory", &root.path().join(INGEST)))
}

/// Creates a directory and locks it; `None` if a cleaner removed it first.
fn claim(parent: &Dir, name: &str) -> io::Result<Option<(Dir, File)>> {
    let dir = match parent.create_dir(name) {
        Ok(dir) => dir,
        Err(error) if is_taken_or_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    match try_lock(&dir, LOCK) {
        Ok(Attempt::Locked(lock)) => Ok(Some((dir, lock))),
        Ok(Attempt::Held | Attempt::Gone) => Ok(None),
        Err(error) if is_taken_or_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_taken_or_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
}

/// Removes the directories of dead writers, whose locks can be acquired; returns how many there were.
///
/// A directory that cannot be removed is left to the next writer. Two cleaners do not harm each other: one has the
/// lock, and names are used once, so that no live writer can have the name of a dead one.
fn remove_dead(parent: &Dir) -> usize {
    let Ok(entries) = parent.entries() else { return 0 };
    let mut removed = 0;
    for entry in entries.iter().filter(|entry| is_ours(entry)) {
        let Ok(dir) = parent.dir(&entry.name) else { continue };
        if let Ok(Attempt::Locked(_lock)) = try_lock(&dir, LOCK) {
            removed += usize::from(remove(parent, &entry.name, &dir));
        }
    }
    removed
}

/// Removes the directories of dead writers in the place, which may not exist; returns how many there were.
pub(crate) fn clean(layout: &Layout) -> Result<usize> {
    let Some(root) = layout.open_root()? else { return Ok(0) };
    match root.dir(INGEST) {
        Ok(parent) => Ok(remove_dead(&parent)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(io(error, "cannot open the directory", &root.path().join(INGEST))),
    }
}

/// Removes a directory with the files that a writer makes in it, the lock last; with anything else in it, it stays.
fn remove(parent: &Dir, name: &str, dir: &Dir) -> bool {
    let entries = dir.entries().unwrap_or_default();
    let written = entries.iter().filter(|entry| !entry.is_dir && is_written_by_us(&entry.name));
    written.for_each(|entry| drop(dir.remove_file(&entry.name)));
    drop(dir.remove_file(LOCK));
    parent.remove_dir(name).is_ok()
}

fn is_ours(entry: &Named) -> bool {
    entry.is_dir && is_our_name(&entry.name)
}

/// A temporary file's number, or the name of a file of converted layers.
fn is_written_by_us(name: &str) -> bool {
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())) || is_our_name(name)
}

fn is_our_name(name: &str) -> bool {
    let is_hex = |hex: &str| hex.len() == 16 && hex.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    name.strip_prefix(PREFIX).is_some_and(is_hex)
}

/// Whether BuildKit's temporary directory was not written to for long; it has no lock to tell by.
fn is_abandoned(dir: &Path) -> bool {
    let is_old =
        |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| is_older_than(&metadata, FOREIGN_IN_USE));
    let data = dir.join("data");
    is_old(dir) && (is_old(&data) || !data.exists())
}

#[cfg(unix)]
fn keep_mode(file: &File, replaced: Option<File>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match replaced.map(|replaced| replaced.metadata()) {
        Some(Ok(metadata)) => file.set_permissions(metadata.permissions()),
        // Made as 0666 without the umask; BuildKit's mode is 0644.
        _ => {
            let mode = file.metadata()?.permissions().mode();
            file.set_permissions(fs::Permissions::from_mode(mode & 0o644))
        }
    }
}

#[cfg(not(unix))]
fn keep_mode(_: &File, _: Option<File>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
