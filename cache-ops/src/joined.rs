//! [`JoinedBlobs`]: the blobs of several caches behind one provider.

use std::collections::HashMap;
use std::ops::Range;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, CacheManifest, Descriptor, Digest, Error, ErrorKind, Result};

/// The blobs of several caches; each is read from a store whose cache names it.
///
/// A blob that several stores should have is read from the first one that has it.
///
/// ```
/// use cache_core::{BlobProvider, CacheConfig, CacheManifest, Descriptor, MediaType};
/// use cache_memory::MemoryCache;
/// use cache_ops::JoinedBlobs;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (one, two) = (MemoryCache::new(), MemoryCache::new());
/// let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer");
/// let _ = two.insert("layer");
/// let manifest = CacheManifest::new(CacheConfig::default(), [layer.clone()]);
/// let blobs = JoinedBlobs::new().with(&manifest, &one).with(&manifest, &two);
/// assert!(blobs.stat(&layer).await?.is_some());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct JoinedBlobs<'a> {
    stores: Vec<&'a dyn BlobProvider>,
    /// The stores that should have a blob, in order.
    homes: HashMap<Digest, Vec<usize>>,
}

impl<'a> JoinedBlobs<'a> {
    /// No blobs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the blobs of a manifest, which are in `store`.
    #[must_use]
    pub fn with(mut self, manifest: &CacheManifest, store: &'a dyn BlobProvider) -> Self {
        let place = self.stores.len();
        self.stores.push(store);
        for blob in manifest.blobs() {
            self.homes.entry(blob.digest).or_default().push(place);
        }
        self
    }

    fn homes(&self, blob: &Descriptor) -> impl Iterator<Item = &'a dyn BlobProvider> {
        self.homes.get(&blob.digest).into_iter().flatten().map(|&place| self.stores[place])
    }
}

impl std::fmt::Debug for JoinedBlobs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinedBlobs").field("stores", &self.stores.len()).field("blobs", &self.homes.len()).finish()
    }
}

#[async_trait]
impl BlobProvider for JoinedBlobs<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let mut failed = None;
        for store in self.homes(blob) {
            match store.stat(blob).await {
                Ok(Some(info)) => return Ok(Some(info)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let mut failed: Option<Error> = None;
        for store in self.homes(blob) {
            match store.read(blob, range.clone()).await {
                Ok(stream) => return Ok(stream),
                // That a store does not answer matters more than that another one has no such blob.
                Err(error) if failed.is_some() && error.kind() == ErrorKind::NotFound => {}
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "blob not found").with("blob", blob.digest)))
    }
}

#[cfg(test)]
mod tests {
    use cache_core::{CacheConfig, MediaType, read_all};
    use cache_memory::MemoryCache;

    use super::*;

    #[tokio::test]
    async fn a_blob_comes_from_the_store_that_has_it() {
        let (one, two) = (MemoryCache::new(), MemoryCache::new());
        let [a, b, lost] = ["a", "b", "lost"].map(|text| Descriptor::of(MediaType::OCI_LAYER, text.as_bytes()));
        let _ = (one.insert("a"), two.insert("b"));
        let of = |blobs: &[&Descriptor]| CacheManifest::new(CacheConfig::default(), blobs.iter().map(|&b| b.clone()));
        let joined = JoinedBlobs::new().with(&of(&[&a, &b, &lost]), &one).with(&of(&[&b]), &two);
        assert_eq!(read_all(&joined, &a, 9).await.unwrap(), "a");
        assert_eq!(read_all(&joined, &b, 9).await.unwrap(), "b");
        assert_eq!(joined.stat(&lost).await.unwrap(), None);
        assert_eq!(joined.read(&lost, None).await.err().unwrap().kind(), ErrorKind::NotFound);
    }
}
