//! Locks as BuildKit takes them: `flock` on a file that is removed while the lock is held.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cache_core::model::random_number;
use cache_core::{ErrorKind, Result};
use tokio::time::{Instant, sleep};

use crate::beneath::Dir;
use crate::error::{at, io};
use crate::layout::INDEX_LOCK;
use crate::task::blocking;

/// How often a lock file is opened again that was removed before it was locked.
const REMOVED_TRIES: usize = 8;

/// The lock of `index.json`; dropping it removes the file, then unlocks it.
#[derive(Debug)]
pub(crate) struct IndexLock {
    file: File,
    root: Arc<Dir>,
}

/// The outcome of trying to lock a file.
pub(crate) enum Attempt {
    /// The file at the path is locked.
    Locked(File),
    /// Another process has locked it.
    Held,
    /// It, or its directory, was removed.
    Gone,
}

impl IndexLock {
    /// Takes the lock, waiting for others at most `timeout`; the wait blocks no thread.
    pub(crate) async fn acquire(root: Arc<Dir>, timeout: Duration) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        loop {
            let place = Arc::clone(&root);
            if let Some(lock) = blocking(move || Self::try_acquire(place)).await? {
                return Ok(lock);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let error = at(
                    ErrorKind::LimitExceeded,
                    "another process holds the lock of index.json",
                    &root.path().join(INDEX_LOCK),
                );
                return Err(error.with("waited", format!("{}ms", timeout.as_millis())));
            }
            sleep(Duration::from_millis(5 + random_number() % 20).min(left)).await;
        }
    }

    fn try_acquire(root: Arc<Dir>) -> Result<Option<Self>> {
        for _ in 0..REMOVED_TRIES {
            let attempt = try_lock(&root, INDEX_LOCK);
            match attempt.map_err(|error| io(error, "cannot lock the file", &root.path().join(INDEX_LOCK)))? {
                Attempt::Locked(file) => return Ok(Some(Self { file, root })),
                Attempt::Held => return Ok(None),
                Attempt::Gone => {}
            }
        }
        Ok(None)
    }

    /// Whether the lock is still the one that others see. BuildKit removes the file after it has unlocked it, and so may
    /// remove the file of the next holder.
    pub(crate) fn is_current(&self) -> bool {
        self.root.has(INDEX_LOCK, &self.file)
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if self.is_current() {
            // A lock file that stays behind blocks no other writer.
            let _ = self.root.remove_file(INDEX_LOCK);
        }
    }
}

/// Locks the file of this name, which is made if need be, without waiting.
pub(crate) fn try_lock(dir: &Dir, name: &str) -> io::Result<Attempt> {
    let file = dir.lock_file(name)?;
    match file.try_lock() {
        Ok(()) if dir.has(name, &file) => Ok(Attempt::Locked(file)),
        Ok(()) => Ok(Attempt::Gone),
        Err(TryLockError::WouldBlock) => Ok(Attempt::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
