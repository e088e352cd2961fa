//! Writing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use cache_core::manifest::EncodedManifest;
use cache_core::model::Limits;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, Progress, Pushed, Result,
    Timestamp,
};
use futures_util::stream::TryStreamExt;

use crate::MemoryCache;

/// Blobs younger than this need no refresh: half the grace of a prune.
const FRESH: Duration = Duration::from_secs(1800);

#[async_trait]
impl CacheExporter for MemoryCache {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    /// A present blob that was not written in the last half hour is refreshed, so that no prune deletes it.
    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        if let Some(pushed) = self.refresh(blob) {
            return Ok(pushed);
        }
        let pieces: BytesMut = from.read(blob, None).await?.try_collect().await?;
        self.overwrite(blob.digest, pieces);
        Ok(Pushed::Uploaded)
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        if manifest.is_empty() && manifest.raw_manifest().is_none() {
            return Ok(Committed::default());
        }
        let gone = manifest.blobs().iter().find(|blob| !self.lock().blobs.contains_key(&blob.digest));
        if let Some(blob) = gone {
            let error = Error::new(ErrorKind::Unavailable, "a blob was deleted while the cache was written");
            return Err(error.with("blob", blob.digest));
        }
        let EncodedManifest { config, manifest, .. } = manifest.encode(self.form).checked(&Limits::default())?;
        self.insert_document(config);
        let descriptor = manifest.descriptor.clone();
        self.insert_document(manifest);
        let version = self.lead_to(&descriptor, expect)?;
        Ok(Committed::new(Some(descriptor), version))
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

impl MemoryCache {
    /// Refreshes a present blob if it is old; `None` if the blob does not exist with its size.
    fn refresh(&self, blob: &Descriptor) -> Option<Pushed> {
        let now = Timestamp::now();
        let mut store = self.lock();
        let (_, modified) = store.blobs.get_mut(&blob.digest).filter(|(bytes, _)| bytes.len() as u64 == blob.size)?;
        if *modified > now.saturating_sub(FRESH) {
            return Some(Pushed::Present);
        }
        *modified = now;
        Some(Pushed::Refreshed)
    }
}
