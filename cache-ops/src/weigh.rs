//! [`weigh`]: how large a store is, and how much of it no cache needs.

use cache_core::seams::{Quota, UnreadableCache};
use cache_core::{CacheStore, Digest, Error, Result};
use futures_util::stream::TryStreamExt;

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

/// Reads every cache of a store, several at once, and then lists its blobs. Memory is that of what the caches reach.
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
    let ReachedByCaches { reached, unreadable } =
        Reached::of_caches(store, caches, &|done| progress(LookEvent::Read { done, total })).await;
    let without_entry = listing.unreadable.into_iter().map(UnreadableEntry::from);
    let with_entry = unreadable.into_iter().map(UnreadableEntry::from);
    weight.unreadable = without_entry.chain(with_entry).collect();
    weight.quota = store.quota().await?;
    let (mut blobs, mut bytes) = (0, 0_u64);
    let mut entries = store.blobs();
    while let Some(entry) = entries.try_next().await? {
        weight.blobs += 1;
        weight.bytes = weight.bytes.saturating_add(entry.size);
        if !reached.contains(&entry.digest) {
            blobs += 1;
            bytes = bytes.saturating_add(entry.size);
        }
        progress(LookEvent::Listed { blobs: weight.blobs });
    }
    if weight.unreadable.is_empty() {
        (weight.unreachable_blobs, weight.unreachable_bytes) = (Some(blobs), Some(bytes));
    }
    Ok(weight)
}
