//! A destination that takes nothing and remembers what it was offered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, Progress, Pushed, Result, Side,
};

/// Looks every blob up at the source instead of reading it.
#[derive(Default)]
pub(super) struct DryRun(Mutex<Vec<Descriptor>>);

impl DryRun {
    /// The blobs that would be pushed, in order of their digests.
    pub(super) fn into_blobs(self) -> Vec<Descriptor> {
        let mut blobs = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        blobs.sort_unstable_by_key(|blob| blob.digest);
        blobs
    }
}

#[async_trait]
impl CacheExporter for DryRun {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::new()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        if from.stat(blob).await?.is_none_or(|info| info.is_archived) {
            return Err(Error::new(ErrorKind::NotFound, "blob not found").with("blob", blob.digest).on(Side::Source));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(blob.clone());
        Ok(Pushed::Uploaded)
    }

    async fn commit(&self, _: &CacheManifest, _: Expect) -> Result<Committed> {
        Ok(Committed::skipped())
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}
