//! A provider of blobs that reports how far they are read.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Result};
use cache_ops::Depth;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Reporter, Step};

/// Forwards calls and reports them. With [`Depth::Fast`] a blob is done once it is looked up, with [`Depth::Deep`] once
/// it is read to its end.
pub(crate) struct Watched<'a> {
    pub(crate) inner: &'a dyn BlobProvider,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) depth: Depth,
}

#[async_trait]
impl BlobProvider for Watched<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.reporter.step(&Step::BlobStarted { blob });
        let found = self.inner.stat(blob).await?;
        match (&found, self.depth) {
            (None, _) => self.reporter.step(&Step::BlobDone { blob, how: "missing" }),
            (Some(_), Depth::Fast) => self.reporter.step(&Step::BlobDone { blob, how: "found" }),
            (Some(_), Depth::Deep) => {}
        }
        Ok(found)
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let stream = self.inner.read(blob, range).await?;
        let (reporter, digest) = (Arc::clone(&self.reporter), blob.digest);
        let counted = stream.inspect_ok(move |piece| {
            reporter.step(&Step::Bytes { blob: digest, bytes: piece.len() as u64 });
        });
        let (reporter, blob) = (Arc::clone(&self.reporter), blob.clone());
        let end = stream::poll_fn(move |_| {
            reporter.step(&Step::BlobDone { blob: &blob, how: "read" });
            Poll::Ready(None)
        });
        Ok(Box::pin(counted.chain(end)))
    }
}
