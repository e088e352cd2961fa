//! Reading a cache.

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::CacheManifest;
use crate::seams::BlobProvider;

/// Reads one cache.
///
/// ```
/// use cache_core::CacheImporter;
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let place = MemoryCache::new();
/// match place.resolve().await? {
///     Some(found) => println!("{} blobs, at {}", found.manifest.blobs().len(), found.version.as_str()),
///     None => println!("no cache yet"),
/// }
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheImporter: BlobProvider {
    /// Reads the manifest; `None` if there is no cache yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](crate::ErrorKind::InvalidManifest) if the documents are not a cache, and [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if a document is missing
    /// that another one names.
    async fn resolve(&self) -> Result<Option<Resolved>>;
}

/// A cache that was read, with the version that a later commit can expect.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The cache.
    pub manifest: CacheManifest,
    /// The version of the place at the time of reading.
    pub version: Version,
}

/// An opaque version of a named place, such as an ETag or a digest. Versions can only be compared for equality.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Wraps the store's own identifier.
    #[must_use]
    pub fn new(state: impl Into<String>) -> Self {
        Self(state.into())
    }

    /// The store's own identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
