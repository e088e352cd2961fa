//! [`Counting`]: a source that counts how often each blob is read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Digest, Result};

/// Blobs that are read through a counter.
pub struct Counting<'a> {
    inner: &'a dyn BlobProvider,
    reads: Mutex<BTreeMap<Digest, usize>>,
}

impl<'a> Counting<'a> {
    /// A counter at zero.
    #[must_use]
    pub fn new(inner: &'a dyn BlobProvider) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// How often each blob was read whole; blobs that were not are left out.
    #[must_use]
    pub fn reads(&self) -> BTreeMap<Digest, usize> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often blobs were read whole.
    #[must_use]
    pub fn count(&self) -> usize {
        self.reads().values().sum()
    }
}

#[async_trait]
impl BlobProvider for Counting<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        if range.is_none() {
            *self.reads.lock().unwrap_or_else(PoisonError::into_inner).entry(blob.digest).or_default() += 1;
        }
        self.inner.read(blob, range).await
    }
}
