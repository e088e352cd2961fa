//! Deletes blobs, a few under one lock.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cache_core::seams::{BlobEntry, Deleted};
use cache_core::{Error, ErrorKind, Result, Version};
use tokio::sync::Mutex;

use crate::beneath::Dir;
use crate::error::{at, io as io_error};
use crate::layout::{Layout, blob_dir, file_metadata};
use crate::lock::IndexLock;
use crate::task::blocking;
use crate::walk::version;

/// How many blobs are deleted under one lock. They are few, since other writers wait for the lock meanwhile, and
/// BuildKit fails.
const UNDER_ONE_LOCK: usize = 64;

/// The deletions of one store, which take turns.
#[derive(Debug)]
pub(crate) struct Deletions {
    layout: Layout,
    lock_timeout: Duration,
    /// Who waits here takes no time from `lock_timeout`, and is served in order.
    turn: Mutex<()>,
    /// The state of `index.json` when its caches were last listed: from them it is known which blobs are free.
    listed: std::sync::Mutex<Option<State>>,
}

/// The version of `index.json`; `None` if there is no such file, or an empty one.
type State = Option<Version>;

impl Deletions {
    pub(crate) fn new(layout: Layout, lock_timeout: Duration) -> Self {
        Self { layout, lock_timeout, turn: Mutex::default(), listed: std::sync::Mutex::default() }
    }

    /// Keeps the state that `index.json` had before its caches were listed.
    pub(crate) fn listed(&self, state: State) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    pub(crate) async fn delete(&self, blob: &BlobEntry) -> Result<Deleted> {
        self.delete_all(std::slice::from_ref(blob)).await.pop().unwrap_or(Ok(Deleted::Absent))
    }

    /// After a failure that is about no single blob, such as a lock that another process holds, the rest fails at once.
    pub(crate) async fn delete_all(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let (mut outcomes, mut failure) = (Vec::with_capacity(blobs.len()), None);
        for some in blobs.chunks(UNDER_ONE_LOCK) {
            let _turn = self.turn.lock().await;
            match self.delete_some(some, &mut failure).await {
                Ok(deleted) => outcomes.extend(deleted),
                Err(error) => outcomes.extend(vec![Err(error); some.len()]),
            }
        }
        outcomes
    }

    /// Only for blobs that are there is the lock taken, and with it the directory changed.
    async fn delete_some(
        &self,
        blobs: &[BlobEntry],
        failure: &mut Option<Error>,
    ) -> Result<impl Iterator<Item = Result<Deleted>> + use<>> {
        let (layout, all) = (self.layout.clone(), blobs.to_vec());
        let is_there = move |blob: &BlobEntry| !matches!(layout.blob_metadata(&blob.digest), Ok(None));
        let are_there: Vec<bool> = blocking(move || Ok(all.iter().map(is_there).collect())).await?;
        let there = blobs.iter().zip(&are_there).filter(|(_, is_there)| **is_there).map(|(blob, _)| blob.clone());
        let there: Vec<BlobEntry> = there.collect();
        let count = there.len();
        let deleted = match &*failure {
            Some(error) => Err(error.clone()),
            None => self.delete_there(there).await,
        };
        let mut deleted = deleted.unwrap_or_else(|error| vec![Err(failure.insert(error).clone()); count]).into_iter();
        let mut outcome = move |is_there| if is_there { deleted.next() } else { None };
        Ok(are_there.into_iter().map(move |is_there| outcome(is_there).unwrap_or(Ok(Deleted::Absent))))
    }

    /// The lock is held meanwhile, so a writer of this crate that needs a blob finds in its commit that it is gone.
    async fn delete_there(&self, blobs: Vec<BlobEntry>) -> Result<Vec<Result<Deleted>>> {
        let layout = self.layout.clone();
        let root = if blobs.is_empty() { None } else { blocking(move || layout.open_root()).await?.map(Arc::new) };
        let Some(root) = root else { return Ok(Vec::new()) };
        let lock = IndexLock::acquire(Arc::clone(&root), self.lock_timeout).await?;
        let (layout, listed) =
            (self.layout.clone(), self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone());
        blocking(move || {
            check(&layout, listed.as_ref())?;
            Ok(delete_under(&lock, &layout, &root, &blobs))
        })
        .await
    }
}

/// The state of `index.json`.
pub(crate) fn state(layout: &Layout) -> Result<State> {
    let found = file_metadata(&layout.index_path())?;
    Ok(found.filter(|found| found.len() > 0).map(|found| version(&found)))
}

/// Under the lock: whether `index.json` still names the caches that were listed, if they were. A cache that was added
/// since may need what was free; BuildKit rewrites the file in place, so that a list may also have seen too little of it.
fn check(layout: &Layout, listed: Option<&State>) -> Result<()> {
    let Some(listed) = listed else { return Ok(()) };
    let now = state(layout)?;
    if now != *listed {
        let message = "index.json has changed since its caches were listed";
        return Err(at(ErrorKind::Conflict, message, &layout.index_path()));
    }
    if now.is_none() {
        let message = "no blob is deleted without an index.json that tells which are needed";
        return Err(at(ErrorKind::InvalidManifest, message, &layout.index_path())
            .with_hint("if none of them is needed, delete the directory"));
    }
    Ok(())
}

/// Once the lock is lost, the rest stays.
fn delete_under(lock: &IndexLock, layout: &Layout, root: &Dir, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
    let delete = |blob| if lock.is_current() { delete(layout, root, blob) } else { Err(lost(layout)) };
    blobs.iter().map(delete).collect()
}

fn delete(layout: &Layout, root: &Dir, blob: &BlobEntry) -> Result<Deleted> {
    let path = layout.blob_path(&blob.digest);
    let Some(found) = layout.blob_metadata(&blob.digest)? else { return Ok(Deleted::Absent) };
    if version(&found) != blob.version {
        return Err(at(ErrorKind::Conflict, "the blob has changed", &path).with("blob", blob.digest));
    }
    match blob_dir(root, blob.digest.algorithm())?.remove_file(&blob.digest.hex()) {
        Ok(()) => Ok(Deleted::Removed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Deleted::Absent),
        Err(error) => Err(io_error(error, "cannot delete the blob", &path)),
    }
}

/// BuildKit removes the lock file after it has unlocked it, and so may remove that of the next holder.
fn lost(layout: &Layout) -> Error {
    at(ErrorKind::Unavailable, "another process has removed the lock of index.json", &layout.index_path())
}

#[cfg(test)]
mod tests;
