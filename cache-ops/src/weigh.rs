//! [`weigh`]: what a store holds, and how much of it no cache reaches.

use cache_core::seams::{CacheEntry, Quota};
use cache_core::{CacheStore, Error, Result};
use futures_util::stream::TryStreamExt;

use crate::Reached;

/// What a store holds.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StoreWeight {
    /// How many caches it lists.
    pub caches: usize,
    /// How many blobs it lists.
    pub blobs: usize,
    /// The stored bytes of those.
    pub bytes: u64,
    /// The blobs that no cache reaches; `None` while one of them cannot be read.
    pub unreachable_blobs: Option<usize>,
    /// The stored bytes of those.
    pub unreachable_bytes: Option<u64>,
    /// Names that cannot be looked at, each with the entry where the store lists one, and why.
    pub unreadable: Vec<(Option<String>, Option<CacheEntry>, Error)>,
    /// Where the service allows only so much.
    pub quota: Option<Quota>,
}

/// How far a look at a store is.
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
/// Whatever the store answers about itself.
pub async fn weigh(store: &dyn CacheStore, progress: &(dyn Fn(LookEvent) + Sync)) -> Result<StoreWeight> {
    let listing = store.list().await?;
    let mut weight = StoreWeight { caches: listing.caches.len(), ..StoreWeight::default() };
    let mut caches = listing.caches;
    caches.extend(store.contributions().await?);
    let total = caches.len();
    let (reached, unreadable) =
        Reached::of_caches(store, caches, &|done| progress(LookEvent::Read { done, total })).await;
    let nameless = listing.unreadable.into_iter().map(|cache| (Some(cache.name), None, cache.error));
    let listed = unreadable.into_iter().map(|(cache, error)| (cache.name.clone(), Some(cache), error));
    weight.unreadable = nameless.chain(listed).collect();
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
