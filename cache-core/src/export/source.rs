//! The source as an export reads it: verified, and with every byte counted.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::TryStreamExt;

use crate::blob::verify;
use crate::{BlobInfo, BlobProvider, BlobStream, Descriptor, Event, Progress, Result, Side};

/// Verifies whole blobs as they are read, and says of every error that it is the source's.
pub(super) struct Verified<'a>(pub(super) &'a dyn BlobProvider);

#[async_trait]
impl BlobProvider for Verified<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.0.stat(blob).await.map_err(|error| error.on(Side::Source))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let is_whole = range.is_none();
        let stream = self.0.read(blob, range).await.map_err(|error| error.on(Side::Source))?;
        let stream = if is_whole { verify(blob.clone(), stream) } else { stream };
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
