//! [`PermittedSource`]: a source that returns the permit of a push when the blob is read.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Result};
use futures_util::stream::{Stream, StreamExt};

use super::gate::Turn;

/// The source of one push. Its first stream takes the permit with it, and returns it when it is dropped. If nothing is
/// read, the permit is returned when the push ends.
pub(super) struct PermittedSource<'a> {
    inner: &'a dyn BlobProvider,
    turn: Mutex<Option<Turn>>,
}

impl<'a> PermittedSource<'a> {
    pub(super) fn new(inner: &'a dyn BlobProvider, turn: Option<Turn>) -> Self {
        Self { inner, turn: Mutex::new(turn) }
    }
}

#[async_trait]
impl BlobProvider for PermittedSource<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let stream = self.inner.read(blob, range).await?;
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::pin(Reading { stream, _turn: turn }))
    }
}

struct Reading {
    stream: BlobStream,
    _turn: Option<Turn>,
}

impl Stream for Reading {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cache_core::seams::{Committed, Contributions, ExporterFacts};
    use cache_core::{
        BlobProvider, CacheChains, CacheExporter, CacheKey, CacheManifest, CacheResult, Descriptor, Digest, Expect,
        MediaType, Progress, Pushed, Result, Timestamp, Version, annotation,
    };
    use cache_memory::MemoryCache;
    use futures_util::stream::TryStreamExt;
    use tokio::sync::Barrier;

    use crate::export::{ExportSettings, export};

    /// Reads blobs. With a barrier a push settles apart, and only when others are read.
    struct Disk {
        apart: Option<Barrier>,
        /// The pushes that have a turn.
        turns: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait::async_trait]
    impl CacheExporter for Disk {
        fn facts(&self) -> ExporterFacts {
            match self.apart {
                Some(_) => ExporterFacts { settles_apart: true, ..ExporterFacts::default() },
                None => ExporterFacts::default(),
            }
        }

        fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

        async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
            let stream = from.read(blob, None).await?;
            self.most.fetch_max(self.turns.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let _pieces: Vec<_> = stream.try_collect().await?;
            if let Some(barrier) = &self.apart {
                self.turns.fetch_sub(1, Ordering::Relaxed);
                barrier.wait().await;
            } else {
                tokio::task::yield_now().await;
                self.turns.fetch_sub(1, Ordering::Relaxed);
            }
            Ok(Pushed::Uploaded)
        }

        async fn commit(&self, _: &CacheManifest, _: Expect) -> Result<Committed> {
            Ok(Committed::new(None, Version::new("1")))
        }

        async fn spool(&self) -> Result<Option<PathBuf>> {
            Ok(None)
        }

        async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
            Ok(None)
        }
    }

    /// How many pushes had a turn at once.
    async fn most_at_once(concurrency: usize, apart: Option<Barrier>) -> usize {
        let (source, mut chains) = (MemoryCache::new(), CacheChains::new());
        for number in 0..8_u8 {
            let _ = source.insert(vec![number]);
            let layer = Descriptor::of(MediaType::OCI_LAYER, &[number])
                .with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&[number]).to_string());
            let result = CacheResult::new(Timestamp::ZERO, vec![layer]);
            chains.add(CacheKey::content(Digest::sha256(&[number])), &[], vec![result]).unwrap();
        }
        let disk = Disk { apart, turns: AtomicUsize::new(0), most: AtomicUsize::new(0) };
        let settings = ExportSettings::default().with_concurrency(concurrency);
        export(&chains.to_manifest(), &source, &disk, &settings).await.unwrap();
        disk.most.into_inner()
    }

    #[tokio::test]
    async fn the_next_blob_is_read_while_one_settles() {
        assert_eq!(most_at_once(1, Some(Barrier::new(2))).await, 1);
        assert_eq!(most_at_once(2, Some(Barrier::new(4))).await, 2);
    }

    #[tokio::test]
    async fn elsewhere_a_push_has_its_turn_to_its_end() {
        assert_eq!(most_at_once(1, None).await, 1);
        assert_eq!(most_at_once(2, None).await, 2);
    }
}
