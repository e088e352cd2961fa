//! Saving an entry: reserve, upload, finalise, in the order that leaves the least behind when something fails.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{BlobStream, Error, ErrorKind, PartUpload, Result, upload};

use crate::error;
use crate::session::{Hold, Session};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// The entry is visible.
    Done,
    /// Somebody else has the key.
    Taken,
}

/// Saves a stream of `size` bytes.
///
/// What fits into one part is read to its end before its key is reserved, so that no source that fails leaves a key
/// behind that nobody can use.
pub(crate) async fn save(session: &Arc<Session>, key: &str, size: u64, from: BlobStream) -> Result<Saved> {
    let saving = Saving { session: Arc::clone(session), key: key.to_owned(), size };
    let parts = session.config().environment().parts();
    let saved = upload(from, size, &saving, parts).await;
    match saved {
        Ok(()) => Ok(Saved::Done),
        Err(error) if is_taken(&error) => Ok(Saved::Taken),
        Err(error) => Err(error),
    }
}

/// Saves bytes that are at hand.
pub(crate) async fn save_bytes(session: &Session, key: &str, hold: &Hold, bytes: Bytes) -> Result<()> {
    let size = bytes.len() as u64;
    let parts = hold.reservation.parts(size);
    session.retrying(|| parts.put(bytes.clone())).await?;
    session.finalize(key, hold, size).await
}

/// Reserves when the first bytes are to be sent, and finalises after the last.
struct Saving {
    session: Arc<Session>,
    key: String,
    size: u64,
}

impl Saving {
    async fn reserve(&self) -> Result<Hold> {
        self.session.reserve(&self.key).await?.ok_or_else(|| taken(&self.key))
    }

    fn parts(&self, hold: &Hold) -> Box<dyn PartUpload> {
        hold.reservation.parts(self.size)
    }
}

#[async_trait]
impl PartUpload for Saving {
    /// Goes on in the background when the caller stops waiting: a key that is reserved and never finalised is locked for
    /// good, and all bytes are at hand.
    async fn put(&self, bytes: Bytes) -> Result<()> {
        let (session, key) = (Arc::clone(&self.session), self.key.clone());
        let whole = tokio::spawn(async move {
            let hold = session.reserve(&key).await?.ok_or_else(|| taken(&key))?;
            save_bytes(&session, &key, &hold, bytes).await
        });
        whole.await.unwrap_or_else(|stopped| {
            Err(error::new(ErrorKind::Unavailable, "the upload was stopped").with_source(stopped))
        })
    }

    async fn begin(&self) -> Result<String> {
        let hold = self.reserve().await?;
        self.parts(&hold).begin().await
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let hold = self.reserve().await?;
        let parts = self.parts(&hold);
        self.session.retrying(|| parts.part(upload, number, bytes.clone())).await
    }

    async fn complete(&self, upload: &str, names: Vec<String>) -> Result<()> {
        let hold = self.reserve().await?;
        let parts = self.parts(&hold);
        self.session.retrying(|| parts.complete(upload, names.clone())).await?;
        self.session.finalize(&self.key, &hold, self.size).await
    }

    /// The key stays ours: a push that is tried again goes on with it.
    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// Marks the error of a key that somebody else has, on its way through [`upload`].
#[derive(Debug)]
struct Taken;

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is taken")
    }
}

impl StdError for Taken {}

fn taken(key: &str) -> Error {
    error::new(ErrorKind::Conflict, "somebody else has the key").with("key", key).with_source(Taken)
}

fn is_taken(error: &Error) -> bool {
    error.source().is_some_and(<dyn StdError>::is::<Taken>)
}
