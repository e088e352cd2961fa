//! Writing a cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::CacheManifest;
use crate::model::Descriptor;
use crate::seams::{BlobProvider, Contributions, ExporterFacts, Progress, Version};

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

/// How a push made a blob present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pushed {
    /// Its bytes were sent.
    Uploaded,
    /// It was there already.
    Present,
    /// It was there already, and its age was reset so that no prune deletes it.
    Refreshed,
    /// The store copied it from another repository.
    Mounted,
    /// The place does not take it: an image takes records about its own layers, and no layers.
    Unneeded,
}

impl Pushed {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Present => "present",
            Self::Refreshed => "refreshed",
            Self::Mounted => "mounted",
            Self::Unneeded => "unneeded",
        }
    }
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

/// The outcome of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The manifest that was written; none where the store has no descriptor for it, or nothing was written.
    pub descriptor: Option<Descriptor>,
    /// The place's new state; none when nothing was written, because the cache has no layers and BuildKit writes none.
    pub version: Option<Version>,
    /// How much of the images the cache covers, where it was written into images.
    pub coverage: Option<Coverage>,
    /// In a store without conditions, how long a commit by a writer that has not seen this one may still replace it;
    /// none where a commit happens only as [`Expect`] says, and where anything was expected.
    ///
    /// Such a commit reads the place right before it writes, and ends within this time. So a publisher that
    /// waits as long, looks, and writes its cache again if it is gone, loses nothing.
    pub settles_in: Option<Duration>,
}

/// How many layers of an image its inline records cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The layers that some result needs.
    pub covered: usize,
    /// All layers.
    pub layers: usize,
}

impl Committed {
    /// A manifest was written.
    #[must_use]
    pub fn new(descriptor: Option<Descriptor>, version: Version) -> Self {
        Self { descriptor, version: Some(version), coverage: None, settles_in: None }
    }

    /// Sets how long another writer's commit may still replace it.
    #[must_use]
    pub fn settling_in(self, wait: Option<Duration>) -> Self {
        Self { settles_in: wait, ..self }
    }

    /// Sets how much of the images the cache covers.
    #[must_use]
    pub fn with_coverage(self, coverage: Coverage) -> Self {
        Self { coverage: Some(coverage), ..self }
    }

    /// An empty cache was left out, as BuildKit does in a registry and a directory.
    #[must_use]
    pub fn skipped() -> Self {
        Self { descriptor: None, version: None, coverage: None, settles_in: None }
    }
}
