//! Saves an entry: reserves its key, uploads, finalises, so that a failure leaves as little as possible behind.
//!
//! Once the key is reserved, the work is finished even if the caller stops waiting.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{BlobStream, Error, ErrorKind, Result};
use cache_kit::{PartUpload, upload};

use crate::error;
use crate::session::{Hold, Session};
use crate::signed::Entry;

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// The entry is visible.
    Done,
    /// Another writer holds the key.
    Taken,
}

/// Reserves a key, and then does the work to its end, whether or not the caller waits; `None` if another writer has the
/// key.
pub(crate) async fn with_key<T, F, W>(session: &Arc<Session>, key: &str, work: F) -> Result<Option<T>>
where
    T: Send + 'static,
    F: FnOnce(String, Hold) -> W + Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let work = Arc::new(Mutex::new(Some(work)));
    let once = || async {
        session.allow(key).await;
        let (holder, key, work) = (Arc::clone(session), key.to_owned(), Arc::clone(&work));
        let upload = async move {
            // An error of the reservation is tried again; what came after it has had its own tries.
            let Some(hold) = holder.reserve(&key).await? else { return Ok(None) };
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            let work = work.ok_or_else(|| error::new(ErrorKind::Unavailable, "the upload was stopped"))?;
            Ok(Some(work(key, hold).await))
        };
        session.uploads().run(upload).await
    };
    session.retrying(once).await?.transpose()
}

/// Saves a stream of `size` bytes.
///
/// A stream that fits into one part is read to its end before its key is reserved, so that a failing source leaves no
/// locked key.
pub(crate) async fn save(session: &Arc<Session>, key: &str, size: u64, from: BlobStream) -> Result<Saved> {
    let saving = Saving { session: Arc::clone(session), key: key.to_owned(), size };
    let limits = session.config().environment().tuning().parts().clone();
    if size > limits.part_size() {
        let done = with_key(session, key, move |_, _| async move { upload(from, size, &saving, &limits).await });
        return Ok(done.await?.map_or(Saved::Taken, |()| Saved::Done));
    }
    match upload(from, size, &saving, &limits).await {
        Ok(()) => Ok(Saved::Done),
        Err(error) if is_taken(&error) => Ok(Saved::Taken),
        Err(error) => Err(error),
    }
}

/// Saves bytes in memory.
pub(crate) async fn save_bytes(session: &Arc<Session>, key: &str, bytes: Bytes) -> Result<Saved> {
    let saver = Arc::clone(session);
    let done = with_key(session, key, move |key, hold| async move {
        let (size, parts) = (bytes.len() as u64, hold.reservation.parts(bytes.len() as u64));
        saver.retrying(|| parts.put(bytes.clone())).await?;
        saver.finalize(&key, &hold, size).await
    });
    Ok(done.await?.map_or(Saved::Taken, |()| Saved::Done))
}

/// The requests that send an entry, under a reserved key.
struct Saving {
    session: Arc<Session>,
    key: String,
    size: u64,
}

impl Saving {
    fn hold(&self) -> Result<Hold> {
        self.session.held(&self.key).ok_or_else(|| taken(&self.key))
    }

    fn parts(&self) -> Result<Box<dyn PartUpload>> {
        Ok(self.hold()?.reservation.parts(self.size))
    }
}

#[async_trait]
impl PartUpload for Saving {
    async fn put(&self, bytes: Bytes) -> Result<()> {
        match save_bytes(&self.session, &self.key, bytes).await? {
            Saved::Done => Ok(()),
            Saved::Taken => Err(taken(&self.key)),
        }
    }

    async fn begin(&self) -> Result<String> {
        self.parts()?.begin().await
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let parts = self.parts()?;
        self.session.retrying(|| parts.part(upload, number, bytes.clone())).await
    }

    async fn complete(&self, upload: &str, names: Vec<String>) -> Result<()> {
        let (hold, parts) = (self.hold()?, self.parts()?);
        self.session.retrying(|| parts.complete(upload, names.clone())).await?;
        self.session.finalize(&self.key, &hold, self.size).await
    }

    /// A service that orders parts in its own way may have lost some.
    async fn stored_size(&self) -> Result<Option<u64>> {
        Entry::new(Arc::clone(&self.session), self.key.clone(), "cannot look at the stored blob").size().await
    }

    /// The key stays reserved: a retried push continues with it.
    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// Marks the error for a key of another writer, on its way through [`upload`].
#[derive(Debug)]
struct Taken;

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is taken")
    }
}

impl StdError for Taken {}

fn taken(key: &str) -> Error {
    error::new(ErrorKind::Conflict, "another writer has the key").with("key", key).with_source(Taken)
}

fn is_taken(error: &Error) -> bool {
    error.source().is_some_and(<dyn StdError>::is::<Taken>)
}
