//! Listing and deleting.

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::{BlobEntry, CacheEntry, Deleted, Quota, delete_each};
use cache_core::{CacheImporter, CacheStore, Descriptor, Digest, Error, ErrorKind, Result, Timestamp, Version};
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::MemoryCache;
use crate::cache::version;

#[async_trait]
impl CacheStore for MemoryCache {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        let entry = |(name, descriptor): (&String, &Descriptor)| {
            let mut entry = CacheEntry::new(Some(name.clone()), version(descriptor));
            entry.descriptor = Some(descriptor.clone());
            entry
        };
        Ok(self.lock().caches.iter().map(entry).collect())
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(self.named(cache.name.clone().unwrap_or_default())))
    }

    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let entry = |(digest, (bytes, modified)): (&Digest, &(Bytes, Timestamp))| {
            let version = Version::new(modified.to_string());
            Ok(BlobEntry { digest: *digest, size: bytes.len() as u64, modified: Some(*modified), version })
        };
        let entries: Vec<_> = self.lock().blobs.iter().map(entry).collect();
        stream::iter(entries).boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let name = cache.name.clone().unwrap_or_default();
        let mut store = self.lock();
        match store.caches.get(&name).map(version) {
            None => Ok(Deleted::Absent),
            Some(found) if found == cache.version => {
                store.caches.remove(&name);
                Ok(Deleted::Removed)
            }
            Some(_) => Err(Error::new(ErrorKind::Conflict, "the cache has changed").with("name", name)),
        }
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        let mut store = self.lock();
        match store.blobs.get(&blob.digest).map(|(_, modified)| Version::new(modified.to_string())) {
            None => Ok(Deleted::Absent),
            Some(found) if found == blob.version => {
                store.blobs.remove(&blob.digest);
                Ok(Deleted::Removed)
            }
            Some(_) => Err(Error::new(ErrorKind::Conflict, "the blob has changed").with("blob", blob.digest)),
        }
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        delete_each(self, blobs).await
    }

    async fn abort_uploads(&self, _: Timestamp) -> Result<usize> {
        Ok(0)
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}
