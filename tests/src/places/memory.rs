//! The reference backend.

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheSpec, CacheStore, Digest, Timestamp};
use cache_memory::MemoryCache;
use futures_util::stream::StreamExt;

use crate::harness::Harness;

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory(MemoryCache);

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Harness for Memory {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(self.0.clone())
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("memory").with("name", "main")
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(CacheSpec::new("memory").with("name", "other"))
    }

    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        Some(Box::new(self.0.named("image")))
    }

    fn keeps_form(&self) -> bool {
        true
    }

    fn exception(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn shown(&self) -> Vec<String> {
        vec![format!("{:?}", self.0)]
    }

    async fn contents(&self) -> Vec<String> {
        let caches = self.0.caches().await.expect("memory answers");
        let blobs: Vec<_> = self.0.blobs().map(|blob| blob.expect("memory answers").digest.to_string()).collect().await;
        caches.into_iter().map(|cache| format!("{cache:?}")).chain(blobs).collect()
    }

    async fn leftovers(&self) -> Vec<String> {
        Vec::new()
    }

    async fn lose(&self, blob: &Digest) {
        self.0.lose(blob);
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        self.0.overwrite(*blob, bytes);
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        self.0.set_modified(blob, modified);
        true
    }
}
