//! Opening caches from specs.

use async_trait::async_trait;

use crate::error::Result;
use crate::seams::{BackendFacts, CacheExporter, CacheImporter, CacheProbe, CacheStore};
use crate::spec::CacheSpec;

/// Opens importers, exporters and stores for the specs of one type. `Backends`, in `cache-ops`, finds the one for a spec.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let spec: CacheSpec = "type=memory,name=main".parse()?;
/// let importer = MemoryCache::new().importer(&spec).await?;
/// assert!(importer.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheBackend: Send + Sync + 'static {
    /// The properties of this backend.
    fn facts(&self) -> BackendFacts;

    /// Opens a cache for reading; nothing is created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>>;

    /// Opens a place for writing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>>;

    /// Opens an importer and an exporter of one place, for [`publish`](https://docs.rs/cache-ops) and conditional commits.
    /// The importer sees only the cache that the exporter replaces; `importer` alone may see more (the other scopes of
    /// gha).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher>;

    /// Opens the store that the place is in; `None` if this backend has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>>;

    /// Opens a probe of the place, for the spec of an export; `None` if this backend has no probe.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>>;
}

/// The importer and the exporter of one place, as [`CacheBackend::publisher`] opens them.
pub struct Publisher {
    /// Reads the cache that the exporter replaces, and no other.
    pub importer: Box<dyn CacheImporter>,
    /// Writes the cache.
    pub exporter: Box<dyn CacheExporter>,
}
