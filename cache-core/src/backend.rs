//! The seams: what a backend implements, and the set of backends a program has.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{
    BlobProvider, CacheManifest, CacheProbe, CacheSpec, Descriptor, Digest, Error, ErrorKind, Progress, Result,
    Timestamp,
};

/// Reads one cache.
#[async_trait]
pub trait CacheImporter: BlobProvider {
    /// Reads the manifest; `None` when there is no cache yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] when what is there cannot be a cache, and [`ErrorKind::NotFound`] when a document
    /// is gone that another one names.
    async fn resolve(&self) -> Result<Option<Resolved>>;
}

/// A cache that was read, and what a later commit can be conditioned on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolved {
    /// The cache.
    pub manifest: CacheManifest,
    /// The state of the place it was read from.
    pub version: Version,
}

impl Resolved {
    /// Joins a manifest with the version it was read at.
    #[must_use]
    pub fn new(manifest: CacheManifest, version: Version) -> Self {
        Self { manifest, version }
    }
}

/// The state of a named place, opaque but for equality: an ETag, a digest, a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Wraps what the store calls this state.
    #[must_use]
    pub fn new(state: impl Into<String>) -> Self {
        Self(state.into())
    }

    /// What the store calls this state.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes one cache: blobs first, then the manifest.
#[async_trait]
pub trait CacheExporter: Send + Sync {
    /// Learns before the first push of an export what is to come, and whom to tell of waits and retries of its own.
    ///
    /// Nothing is sent. [`export`](crate::export) calls it; an exporter that never holds back need not listen.
    fn prepare(&self, _manifest: &CacheManifest, _progress: &Arc<dyn Progress>) {}

    /// Makes a blob present by the cheapest means the store has.
    ///
    /// It is idempotent, a retry reopens `from`, and a call that is dropped leaves garbage at worst. `from` yields
    /// verified bytes when it is called through [`export`](crate::export).
    ///
    /// # Errors
    /// Whatever `from` or the store answers.
    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed>;

    /// Makes the manifest the cache of this place, atomically; called once, after every blob is present.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the place is not as `expect` says.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed>;

    /// Whether a blob that was present can go away without the commit noticing: somebody deletes what is old, and the
    /// commit looks at no blob.
    ///
    /// [`export`](crate::export) then pushes such blobs once more after the commit, when the manifest keeps them. That is
    /// for a place where a push of a present blob is its cheapest look. One that can look at many blobs at once (a page of
    /// a list in s3 and gha), or whose store does (a registry), looks at the end of its own commit and fails with a
    /// retryable error for a blob that is gone; that is what is assumed.
    fn needs_recheck(&self) -> bool {
        false
    }

    /// Whether a push that has read its blob to the end waits for something near from then on, as a disk is, and drops the
    /// stream before. Then [`export`](crate::export) reads the next blob meanwhile, and as many pushes settle at once as
    /// there are blobs being read.
    fn settles_apart(&self) -> bool {
        false
    }

    /// A folder in the place itself for layers that are converted on their way there: it has room for them anyway.
    ///
    /// # Errors
    /// When the place cannot be written to.
    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }
}

/// How a blob came to be present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pushed {
    /// Its bytes were sent.
    Uploaded,
    /// It was there.
    Present,
    /// It was there, and its age was set back so that no clean-up takes it.
    Refreshed,
    /// The store took it from another of its places.
    Mounted,
    /// The place has no use for it: an image takes no layers, only records about those it has.
    Unneeded,
}

/// What a place has to hold for a commit to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything: the commit replaces what is there, as BuildKit does.
    Any,
    /// No cache.
    Absent,
    /// The cache that was read at this version.
    Version(Version),
}

/// A commit that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The manifest that was written; none where the store has no descriptor for it, or nothing was written.
    pub descriptor: Option<Descriptor>,
    /// The place's new state; none when nothing was written, because the cache has no layers and BuildKit writes none.
    pub version: Option<Version>,
    /// How much of the images the cache is about, where it was put into images.
    pub coverage: Option<Coverage>,
}

/// How many of an image's layers the records in it lead to.
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
        Self { descriptor, version: Some(version), coverage: None }
    }

    /// Says how much of the images the cache is about.
    #[must_use]
    pub fn with_coverage(self, coverage: Coverage) -> Self {
        Self { coverage: Some(coverage), ..self }
    }

    /// An empty cache was left out, as BuildKit does in a registry and a directory.
    #[must_use]
    pub fn skipped() -> Self {
        Self { descriptor: None, version: None, coverage: None }
    }
}

/// Lists and deletes the caches and blobs of a store; what `ls`, `du`, `rm` and `prune` need.
#[async_trait]
pub trait CacheStore: Send + Sync {
    /// Every cache in the store, in order of name.
    ///
    /// # Errors
    /// Whatever the store answers; a store that does not exist has no caches.
    async fn caches(&self) -> Result<Vec<CacheEntry>>;

    /// Opens one of the caches for reading.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>>;

    /// Every blob in the store, in no particular order.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>>;

    /// Takes a cache out of the store if it is still the one that was listed; its blobs stay.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the name leads to another cache by now.
    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted>;

    /// Deletes a blob if it has not changed since it was listed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it was written or refreshed in between.
    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted>;

    /// Deletes blobs as [`delete_blob`](Self::delete_blob) does, in as few requests as the store can; what came of each
    /// is in the order of `blobs`. One that cannot be deleted keeps no other one from it.
    ///
    /// One after the other, unless a store can do better.
    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let mut outcomes = Vec::with_capacity(blobs.len());
        for blob in blobs {
            outcomes.push(self.delete_blob(blob).await);
        }
        outcomes
    }

    /// Throws away what writers have left that died in the middle of an upload before `before`, and says how much that
    /// was; what no list of blobs shows. Nothing in a store that keeps nothing of that kind.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn abort_uploads(&self, _before: Timestamp) -> Result<usize> {
        Ok(0)
    }

    /// What the service counts towards a limit, other people's entries included; `None` where there is no limit.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

/// How much of what a service allows is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that count.
    pub used: u64,
    /// Bytes above which the service deletes entries of its own accord.
    pub limit: u64,
}

/// A cache in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The tag, name or scope; none for a cache that can only be reached by digest.
    pub name: Option<String>,
    /// The state of the name when it was listed.
    pub version: Version,
    /// The manifest, where the store says it.
    pub descriptor: Option<Descriptor>,
    /// When the name was last written, where the store says it.
    pub modified: Option<Timestamp>,
    /// Bytes of the document, where the store says them without a descriptor.
    pub size: Option<u64>,
    /// When the cache was last read, where the store says it.
    pub used: Option<Timestamp>,
}

impl CacheEntry {
    /// A cache under `name` in state `version`.
    #[must_use]
    pub fn new(name: Option<String>, version: Version) -> Self {
        Self { name, version, descriptor: None, modified: None, size: None, used: None }
    }
}

/// A blob in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobEntry {
    /// The blob's digest, by its key.
    pub digest: Digest,
    /// The stored size in bytes.
    pub size: u64,
    /// When the blob was written or last refreshed.
    pub modified: Option<Timestamp>,
    /// The state of the blob when it was listed.
    pub version: Version,
}

impl BlobEntry {
    /// A blob of `size` bytes in state `version`.
    #[must_use]
    pub fn new(digest: Digest, size: u64, version: Version) -> Self {
        Self { digest, size, modified: None, version }
    }
}

/// What a deletion found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// It was there and is gone.
    Removed,
    /// It was gone already.
    Absent,
}

/// One kind of place: opens readers, writers and stores for the specs of its type.
#[async_trait]
pub trait CacheBackend: Send + Sync + 'static {
    /// The `type` of the specs this backend is for.
    fn kind(&self) -> &'static str;

    /// Opens a cache for reading; nothing is created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>>;

    /// Opens a place for writing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>>;

    /// Opens a place from both sides for [`publish`](crate::publish) and conditional commits: the reader sees only what
    /// the writer replaces, where a reader otherwise sees more (the other scopes of gha).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn publisher(&self, spec: &CacheSpec) -> Result<(Box<dyn CacheImporter>, Box<dyn CacheExporter>)> {
        Ok((self.importer(spec).await?, self.exporter(spec).await?))
    }

    /// Opens the store that the place is in; `None` when this kind of place has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>>;

    /// Opens a probe of the place, for the spec of a cache to export; `None` when this kind of place has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn probe(&self, _spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(None)
    }
}

/// The backends a program was built with.
///
/// ```
/// use cache_core::{Backends, CacheSpec, MemoryCache};
///
/// let backends = Backends::new().with(MemoryCache::new());
/// assert!(backends.find(&CacheSpec::new("memory")).is_ok());
/// let error = backends.find(&CacheSpec::new("s3")).err().expect("not built in");
/// assert_eq!(error.to_string(), "cache type is not built in (type=s3, built-in=memory)");
/// ```
#[derive(Default)]
pub struct Backends(BTreeMap<&'static str, Box<dyn CacheBackend>>);

impl Backends {
    /// No backend.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend; a later one of the same kind replaces an earlier one.
    #[must_use]
    pub fn with(mut self, backend: impl CacheBackend) -> Self {
        self.0.insert(backend.kind(), Box::new(backend));
        self
    }

    /// The types that specs may name, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The backend for a spec.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] naming the types there are.
    pub fn find(&self, spec: &CacheSpec) -> Result<&dyn CacheBackend> {
        self.0.get(spec.kind()).map(Box::as_ref).ok_or_else(|| {
            let built_in: Vec<&str> = self.kinds().collect();
            Error::new(ErrorKind::InvalidSpec, "cache type is not built in")
                .with("type", spec.kind())
                .with("built-in", built_in.join(" "))
        })
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}
