//! Locks as BuildKit takes them: `flock` on a file that is removed while the lock is held.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cache_core::{ErrorKind, Result, random_number};
use tokio::time::{Instant, sleep};

use crate::error::{at, io};
use crate::task::blocking;

/// How often a file is opened again that somebody removed between its opening and its locking.
const REMOVED_TRIES: usize = 8;

/// The right to change `index.json`; dropping it removes the file, then unlocks it.
#[derive(Debug)]
pub(crate) struct IndexLock {
    file: File,
    path: PathBuf,
}

/// What came of trying to lock a file.
pub(crate) enum Attempt {
    /// The file at the path is locked.
    Locked(File),
    /// Somebody else has locked it.
    Held,
    /// Somebody removed it, or the directory it is in.
    Gone,
}

impl IndexLock {
    /// Takes the lock, waiting for others at most `timeout`; the wait blocks no thread.
    pub(crate) async fn acquire(path: PathBuf, timeout: Duration) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        loop {
            let wanted = path.clone();
            if let Some(lock) = blocking(move || Self::try_acquire(wanted)).await? {
                return Ok(lock);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let error = at(ErrorKind::LimitExceeded, "another process keeps the lock of index.json", &path);
                return Err(error.with("waited", format!("{}ms", timeout.as_millis())));
            }
            sleep(Duration::from_millis(5 + random_number() % 20).min(left)).await;
        }
    }

    fn try_acquire(path: PathBuf) -> Result<Option<Self>> {
        for _ in 0..REMOVED_TRIES {
            match try_lock(&path).map_err(|error| io(error, "cannot lock the file", &path))? {
                Attempt::Locked(file) => return Ok(Some(Self { file, path })),
                Attempt::Held => return Ok(None),
                Attempt::Gone => {}
            }
        }
        Ok(None)
    }

    /// Whether the lock is still the one that others see. BuildKit removes the file after it has unlocked it, and so may
    /// remove the file of whoever locked it next.
    pub(crate) fn is_current(&self) -> bool {
        is_at(&self.file, &self.path)
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if self.is_current() {
            // A file that stays behind locks nobody out.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks the file at `path`, which is made if need be, without waiting.
pub(crate) fn try_lock(path: &Path) -> io::Result<Attempt> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => Ok(Attempt::Locked(file)),
        Ok(()) => Ok(Attempt::Gone),
        Err(TryLockError::WouldBlock) => Ok(Attempt::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => is_same(&open, &there),
        _ => false,
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Other systems keep an open file's name from being used again, or do not say which file it is.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests;
