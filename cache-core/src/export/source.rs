//! The source as an export reads it: verified, and with every byte counted.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::TryStreamExt;

use crate::blob::{verify, verify_on};
use crate::{BlobInfo, BlobProvider, BlobStream, CodecPool, Descriptor, Event, Progress, Result, Side};

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

/// Counts what one place is given.
pub(super) struct Counted<'a> {
    pub(super) inner: &'a dyn BlobProvider,
    pub(super) progress: &'a Arc<dyn Progress>,
    pub(super) bytes: &'a Arc<AtomicU64>,
}

#[async_trait]
impl BlobProvider for Counted<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let stream = self.inner.read(blob, range).await?;
        let (progress, total, blob) = (Arc::clone(self.progress), Arc::clone(self.bytes), blob.digest);
        Ok(Box::pin(stream.inspect_ok(move |piece| {
            let bytes = piece.len() as u64;
            total.fetch_add(bytes, Ordering::Relaxed);
            progress.event(&Event::BlobBytes { blob, bytes });
        })))
    }
}
