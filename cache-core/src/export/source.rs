//! The source as an export reads it: verified, and with every byte counted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::TryStreamExt;

use crate::blob::{verify, verify_on};
use crate::{BlobInfo, BlobProvider, BlobStream, CodecPool, Descriptor, Digest, Event, Progress, Result, Side};

/// Up to this size a blob is hashed where it is read: another thread would cost more than it saves.
const SMALL: u64 = 256 << 10;

/// Verifies whole blobs as they are read, and says of every error that it is the source's.
///
/// All reads of an export are polled by one task. Large blobs are hashed on the pool, so that blobs that move at once are
/// hashed on several cores.
pub(super) struct Verified<'a> {
    pub(super) inner: &'a dyn BlobProvider,
    pub(super) pool: CodecPool,
}

#[async_trait]
impl BlobProvider for Verified<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await.map_err(|error| error.on(Side::Source))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let is_whole = range.is_none();
        let stream = self.inner.read(blob, range).await.map_err(|error| error.on(Side::Source))?;
        let stream = match is_whole {
            true if blob.size > SMALL => verify_on(&self.pool, blob.clone(), stream),
            true => verify(blob.clone(), stream),
            false => stream,
        };
        Ok(Box::pin(stream.map_err(|error| error.on(Side::Source))))
    }
}

/// What one place was given: each byte of a blob counts once, however often it is sent.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    bytes: u64,
    /// How far each blob was read.
    ends: HashMap<Digest, u64>,
}

impl Tally {
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Takes note of `len` bytes of a blob that end at `end`; says how many of them are new.
    fn count(&self, blob: Digest, len: u64, end: u64) -> u64 {
        let mut counts = self.lock();
        let before = counts.ends.entry(blob).or_default();
        let new = end.saturating_sub(*before).min(len);
        *before = end.max(*before);
        counts.bytes = counts.bytes.saturating_add(new);
        new
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what one place is given.
pub(super) struct Counted<'a> {
    pub(super) inner: &'a dyn BlobProvider,
    pub(super) progress: &'a Arc<dyn Progress>,
    pub(super) tally: &'a Arc<Tally>,
}

#[async_trait]
impl BlobProvider for Counted<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let mut end = range.as_ref().map_or(0, |range| range.start);
        let stream = self.inner.read(blob, range).await?;
        let (progress, tally, blob) = (Arc::clone(self.progress), Arc::clone(self.tally), blob.digest);
        Ok(Box::pin(stream.inspect_ok(move |piece| {
            let len = piece.len() as u64;
            end = end.saturating_add(len);
            let bytes = tally.count(blob, len, end);
            if bytes > 0 {
                progress.event(&Event::BlobBytes { blob, bytes });
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_does_not_count_again() {
        let (tally, one, other) = (Tally::default(), Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!((tally.count(one, 4, 4), tally.count(one, 4, 8)), (4, 4));
        // From the start, and past where it broke.
        assert_eq!((tally.count(one, 6, 6), tally.count(one, 6, 12)), (0, 4));
        // Nobody was given what was passed over.
        assert_eq!(tally.count(one, 4, 20), 4);
        assert_eq!((tally.count(other, 4, 4), tally.bytes()), (4, 20));
    }
}
