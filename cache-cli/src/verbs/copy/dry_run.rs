//! An exporter that writes nothing, and records the blobs that the destination lacks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheExporter, CacheImporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, Progress, Pushed,
    Result, Side,
};

use super::report::WouldPush;

/// Looks up every blob at the source and the destination instead of moving it.
pub(super) struct DryRun<'a> {
    /// The cache at the destination, if any.
    there: Option<&'a dyn CacheImporter>,
    offered: Mutex<WouldPush>,
}

impl<'a> DryRun<'a> {
    pub(super) fn new(there: Option<&'a dyn CacheImporter>) -> Self {
        Self { there, offered: Mutex::new(WouldPush { blobs: Vec::new(), already_there: 0 }) }
    }

    /// The blobs that would be pushed, in order of their digests.
    pub(super) fn into_blobs(self) -> WouldPush {
        let mut offered = self.offered.into_inner().unwrap_or_else(PoisonError::into_inner);
        offered.blobs.sort_unstable_by_key(|blob| blob.digest);
        offered
    }

    async fn has(&self, blob: &Descriptor) -> Result<bool> {
        let Some(there) = self.there else { return Ok(false) };
        let found = there.stat(blob).await.map_err(|error| error.on(Side::Destination))?;
        Ok(found.is_some_and(|found| found.size == blob.size))
    }
}

#[async_trait]
impl CacheExporter for DryRun<'_> {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        if from.stat(blob).await?.is_none_or(|info| info.is_archived) {
            return Err(Error::new(ErrorKind::NotFound, "blob not found").with("blob", blob.digest).on(Side::Source));
        }
        let is_there = self.has(blob).await?;
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if is_there {
            offered.already_there += 1;
            return Ok(Pushed::Present);
        }
        offered.blobs.push(blob.clone());
        Ok(Pushed::Uploaded)
    }

    async fn commit(&self, _: &CacheManifest, _: Expect) -> Result<Committed> {
        Ok(Committed::default())
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}
