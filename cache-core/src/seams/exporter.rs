//! Writing a cache.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::CacheManifest;
use crate::model::Descriptor;
use crate::seams::{BlobProvider, Committed, Contributions, ExporterFacts, Progress, Pushed, Version};

/// Writes one cache: blobs first, then the manifest.
///
/// ```
/// use cache_core::{CacheChains, CacheExporter, CacheKey, Digest, Expect};
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (source, place) = (MemoryCache::new(), MemoryCache::new());
/// let mut graph = CacheChains::new();
/// graph.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
/// let manifest = graph.to_manifest();
/// for blob in manifest.blobs() {
///     place.push(blob, &source).await?;
/// }
/// place.commit(&manifest, Expect::Any).await?; // from here on it can be read
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheExporter: Send + Sync {
    /// The properties of this exporter.
    fn facts(&self) -> ExporterFacts;

    /// Announces, before the first push, what will be pushed, and where to report waits and retries.
    ///
    /// Nothing is sent. [`export`](https://docs.rs/cache-ops) calls it once; an exporter that never holds back ignores it.
    fn prepare(&self, manifest: &CacheManifest, progress: &Arc<dyn Progress>);

    /// Makes a blob present, in the cheapest way that the store has.
    ///
    /// It is idempotent, a retry reopens `from`, and a call that is dropped leaves garbage at worst. `from` yields
    /// verified bytes when it is called through [`export`](https://docs.rs/cache-ops).
    ///
    /// # Errors
    /// Whatever `from` or the store answers.
    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed>;

    /// Makes the manifest the cache of this place, atomically; called once, after every blob is present.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the place is not as `expect` says.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed>;

    /// A directory in the place itself for layers that are converted on their way there: it has room for them anyway.
    /// None where the place is not on this machine.
    ///
    /// # Errors
    /// When the place cannot be written to.
    async fn spool(&self) -> Result<Option<PathBuf>>;

    /// The contributions of publishers to this place, for a store whose commits cannot be conditional; `None`
    /// where a commit happens only as its [`Expect`] says.
    ///
    /// # Errors
    /// When it cannot be found out what the store does.
    async fn contributions(&self) -> Result<Option<&dyn Contributions>>;
}

/// The condition of a commit: what the place must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything. The commit replaces it, as BuildKit does.
    Any,
    /// No cache.
    Absent,
    /// The cache that was read at this version.
    Version(Version),
}
