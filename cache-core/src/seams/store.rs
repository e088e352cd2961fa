//! Listing and deleting what a store holds.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::{Error, Result};
use crate::model::{Descriptor, Digest, Timestamp};
use crate::seams::{CacheImporter, Version};

/// Lists and deletes the caches and blobs of a store, for `ls`, `du`, `rm` and `prune`.
///
/// ```
/// use cache_core::CacheStore;
/// use cache_memory::MemoryCache;
/// use futures_util::TryStreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryCache::new();
/// let _ = store.insert("a blob");
/// assert!(store.caches().await?.is_empty());
/// for blob in store.blobs().try_collect::<Vec<_>>().await? {
///     store.delete_blob(&blob).await?; // a conflict if it has changed since it was listed
/// }
/// assert_eq!(store.blobs().try_collect::<Vec<_>>().await?.len(), 0);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheStore: Send + Sync {
    /// Every cache in the store, in order of name, for whoever relies on there being no other; without what is left for
    /// them ([`contributions`](Self::contributions)).
    ///
    /// # Errors
    /// Whatever the store answers, also about one cache; a store that does not exist has no caches.
    async fn caches(&self) -> Result<Vec<CacheEntry>>;

    /// As [`caches`](Self::caches), but returns caches that cannot be looked at beside the others, for listings.
    ///
    /// A store that looks at each cache to list it implements this; for any other the two are the same.
    ///
    /// # Errors
    /// Whatever the store answers about the store itself.
    async fn list(&self) -> Result<CacheListing> {
        Ok(CacheListing { caches: self.caches().await?, unreadable: Vec::new() })
    }

    /// What publishers have left for caches of the store ([`Contributions`](crate::seams::Contributions)), in order of name;
    /// they are not caches, and [`open`](Self::open) and [`delete_cache`](Self::delete_cache) take them all the same.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn contributions(&self) -> Result<Vec<CacheEntry>>;

    /// Opens one of the caches for reading.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>>;

    /// The manifests of caches without a name, the newest first: a name whose own manifest is gone can be pointed to
    /// one of them. Empty for a store in which manifests are their names, or that does not list them.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn unnamed(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    /// Every blob in the store, in no particular order.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>>;

    /// Deletes a cache if it has not changed since it was listed. Its blobs stay.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the name points to another cache now, and [`ErrorKind::InUse`](crate::ErrorKind::InUse) if the store could only
    /// delete it together with other names.
    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted>;

    /// Deletes a blob if it has not changed since it was listed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when it was written or refreshed in between.
    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted>;

    /// Deletes blobs as [`delete_blob`](Self::delete_blob) does, in as few requests as possible, and returns the outcomes
    /// in the order of `blobs`. A failure affects only its own blob. A store without batch deletion uses [`delete_each`].
    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>>;

    /// Deletes unfinished uploads that began before `before`, which no list of blobs shows, and returns their number. A
    /// store that keeps no such uploads returns 0.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn abort_uploads(&self, before: Timestamp) -> Result<usize>;

    /// How space is freed where blobs can neither be listed nor deleted; `None` in any other place,
    /// where [`blobs`](Self::blobs) lists them.
    fn own_collection(&self) -> Option<&'static str> {
        None
    }

    /// How much of the service's storage limit is used, including entries of others; `None` if there is no limit.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn quota(&self) -> Result<Option<Quota>>;
}

/// Deletes blobs one after the other, for a store that cannot delete several in one request.
pub async fn delete_each(store: &dyn CacheStore, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
    let mut outcomes = Vec::with_capacity(blobs.len());
    for blob in blobs {
        outcomes.push(store.delete_blob(blob).await);
    }
    outcomes
}

/// The caches in a store, as far as they can be looked at.
#[derive(Debug, Clone, Default)]
pub struct CacheListing {
    /// Those that can, in order of name.
    pub caches: Vec<CacheEntry>,
    /// Those that cannot; they may be caches or something else.
    pub unreadable: Vec<UnreadableCache>,
}

/// A name in a store that cannot be looked at.
#[derive(Debug, Clone)]
pub struct UnreadableCache {
    /// The tag, name or scope, as the store says it.
    pub name: String,
    /// Why it cannot.
    pub error: Error,
}

impl CacheListing {
    /// The caches, if there are no others.
    ///
    /// # Errors
    /// Why the first of the others cannot be looked at.
    pub fn whole(self) -> Result<Vec<CacheEntry>> {
        match self.unreadable.into_iter().next() {
            Some(UnreadableCache { name, error }) => Err(error.with("cache", name)),
            None => Ok(self.caches),
        }
    }
}

/// Use of a service's storage limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes in use.
    pub used: u64,
    /// Bytes above which the service deletes entries by itself.
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

/// The outcome of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// It was deleted.
    Removed,
    /// It did not exist.
    Absent,
}
