//! [`weigh`]: how large a store is, and how much of it no cache needs.

use cache_core::seams::{Quota, UnreadableCache};
use cache_core::{CacheStore, Digest, Error, Result};
use futures_util::future::try_join;
use futures_util::stream::TryStreamExt;

use crate::reached::{Short, short};
use crate::{Reached, ReachedByCaches, UnreadEntry};

/// The size of a store.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StoreWeight {
    /// How many caches it lists.
    pub caches: usize,
    /// How many blobs it lists.
    pub blobs: usize,
    /// The stored bytes of those.
    pub bytes: u64,
    /// How many blobs no cache reaches; `None` if a cache cannot be read.
    pub unreachable_blobs: Option<usize>,
    /// The stored bytes of those.
    pub unreachable_bytes: Option<u64>,
    /// The caches that cannot be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// The limit of the service, if it has one.
    pub quota: Option<Quota>,
}

/// A cache of a store that cannot be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnreadableEntry {
    /// Its name; `None` if the store lists it without one.
    pub name: Option<String>,
    /// The digest of its manifest; `None` if the store does not return it.
    pub manifest: Option<Digest>,
    /// Why it cannot be read.
    pub error: Error,
}

impl From<UnreadEntry> for UnreadableEntry {
    fn from(unread: UnreadEntry) -> Self {
        let manifest = unread.entry.descriptor.map(|manifest| manifest.digest);
        Self { name: unread.entry.name, manifest, error: unread.error }
    }
}

impl From<UnreadableCache> for UnreadableEntry {
    fn from(cache: UnreadableCache) -> Self {
        Self { name: Some(cache.name), manifest: None, error: cache.error }
    }
}

/// The progress of reading a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookEvent {
    /// A cache was read.
    Read {
        /// How many were read so far.
        done: usize,
        /// How many there are to read.
        total: usize,
    },
    /// A blob was listed.
    Listed {
        /// How many were listed so far.
        blobs: usize,
    },
}

/// Reads every cache of a store, several at once, and lists its blobs meanwhile. Memory grows with what the caches reach
/// and with what is listed: about 120 bytes for a blob that is both.
///
/// # Errors
/// Errors of the store's lists. An unreadable cache is not an error.
///
/// # Panics
/// Outside of a Tokio runtime: each cache is read in a task of its own.
pub async fn weigh(store: &dyn CacheStore, progress: &(dyn Fn(LookEvent) + Sync)) -> Result<StoreWeight> {
    let listing = store.list().await?;
    let mut weight = StoreWeight { caches: listing.caches.len(), ..StoreWeight::default() };
    let mut caches = listing.caches;
    caches.extend(store.contributions().await?);
    let total = caches.len();
    let done = |done| progress(LookEvent::Read { done, total });
    let reading = async { Ok(Reached::of_caches(store, caches, &done).await) };
    let (ReachedByCaches { reached, unreadable }, listed) = try_join(reading, list(store, progress)).await?;
    let without_entry = listing.unreadable.into_iter().map(UnreadableEntry::from);
    let with_entry = unreadable.into_iter().map(UnreadableEntry::from);
    weight.unreadable = without_entry.chain(with_entry).collect();
    weight.quota = store.quota().await?;
    (weight.blobs, weight.bytes) = (listed.len(), sum(listed.iter()));
    if weight.unreadable.is_empty() {
        let unreachable = || listed.iter().filter(|blob| !reached.contains_short(&blob.digest));
        weight.unreachable_blobs = Some(unreachable().count());
        weight.unreachable_bytes = Some(sum(unreachable()));
    }
    Ok(weight)
}

/// A listed blob.
struct Listed {
    digest: Short,
    size: u64,
}

async fn list(store: &dyn CacheStore, progress: &(dyn Fn(LookEvent) + Sync)) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut entries = store.blobs();
    while let Some(entry) = entries.try_next().await? {
        listed.push(Listed { digest: short(&entry.digest), size: entry.size });
        progress(LookEvent::Listed { blobs: listed.len() });
    }
    Ok(listed)
}

fn sum<'a>(listed: impl Iterator<Item = &'a Listed>) -> u64 {
    listed.fold(0, |sum, blob| sum.saturating_add(blob.size))
}
