//! Reading.

use std::ops::Range;

use async_trait::async_trait;
use cache_core::model::Limits;
use cache_core::seams::{BlobInfo, stream_of};
use cache_core::{
    BlobProvider, BlobStream, CacheImporter, Descriptor, Error, ErrorKind, Resolved, Result, load, read_all,
};

use crate::MemoryCache;
use crate::cache::version;

#[async_trait]
impl BlobProvider for MemoryCache {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let store = self.lock();
        let found = store.blobs.get(&blob.digest);
        Ok(found.map(|(bytes, modified)| BlobInfo { modified: Some(*modified), ..BlobInfo::new(bytes.len() as u64) }))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let found = self.lock().blobs.get(&blob.digest).map(|(bytes, _)| bytes.clone());
        let bytes = found.ok_or_else(|| Error::new(ErrorKind::NotFound, "blob not found").with("blob", blob.digest))?;
        Ok(stream_of(match range {
            Some(range) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end).max(at(range.start)))
            }
            None => bytes,
        }))
    }
}

#[async_trait]
impl CacheImporter for MemoryCache {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let Some(descriptor) = self.lock().caches.get(&self.name).cloned() else {
            return Ok(None);
        };
        let document = read_all(self, &descriptor, Limits::default().manifest).await?;
        let manifest = load(document, self, &Limits::default()).await?;
        Ok(manifest.map(|manifest| Resolved { manifest, version: version(&descriptor) }))
    }
}
