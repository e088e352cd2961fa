//! [`PrunePlan`]: what is to go, as things stood at one moment.

use std::time::Duration;

use cache_core::seams::{BlobEntry, CacheEntry, UnreadableCache};
use cache_core::{CacheStore, Descriptor, Digest, Result, Timestamp, Version};
use futures_util::stream::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::contributions::Contributed;
use super::look::{Looked, look, look_at_each};
use super::policy::{PrunePolicy, PruneReason, is_older};
use crate::Reach;

/// How many caches are looked at at once.
pub(super) const LOOKS: usize = 8;

/// Which caches and blobs go; it can be kept as JSON, and be carried out later.
///
/// Whoever carries it out looks again: a cache that was written since stays, and so does a blob that was written,
/// refreshed or reached since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PrunePlan {
    /// When the store was looked at.
    pub made_at: Timestamp,
    /// How young a blob is that stays, in seconds.
    pub grace_seconds: u64,
    /// The caches that go, the oldest first.
    pub caches: Vec<PlannedCache>,
    /// The blobs that go; none where the store cannot list them.
    pub blobs: Option<Vec<PlannedBlob>>,
    /// Why there are no blobs in the plan, and who deletes them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// What has a name and cannot be read, in a store that deletes no blobs; it stays.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unreadable: Vec<UnreadableName>,
    /// How many caches stay, and whatever else has a name.
    pub kept_caches: usize,
    /// What they reach, each blob counted once.
    pub kept_bytes: u64,
    /// By how much that is more than the policy's space; nothing else may go.
    pub bytes_over: u64,
    /// Blobs that nothing reaches and that are too young to go.
    pub young_blobs: usize,
    /// The bytes of those.
    #[serde(default)]
    pub young_bytes: u64,
}

/// A cache that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedCache {
    /// Its tag, name or scope.
    pub name: Option<String>,
    /// The state of the name when it was listed.
    pub version: String,
    /// Its manifest, where the store says it.
    pub digest: Option<Digest>,
    /// When it was last written, as far as is known.
    pub modified: Option<Timestamp>,
    /// What it reaches.
    pub bytes: u64,
    /// Why it goes.
    pub reason: PruneReason,
}

/// A name that stays because its cache cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnreadableName {
    /// The tag, name or scope.
    pub name: String,
    /// Why it cannot be read.
    pub why: String,
}

/// A blob that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedBlob {
    /// The blob.
    pub digest: Digest,
    /// Its stored size in bytes.
    pub size: u64,
    /// When it was last written or refreshed.
    pub modified: Option<Timestamp>,
    /// The state of the blob when it was listed.
    pub version: String,
}

impl PrunePlan {
    /// The bytes of the blobs that go.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().flatten().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }

    /// How young a blob is that stays.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// Whether the store held nothing at all.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        self.is_empty() && self.kept_caches == 0 && self.kept_bytes == 0 && self.young_blobs == 0
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.caches.is_empty() && self.blobs.as_ref().is_none_or(Vec::is_empty)
    }
}

impl PlannedCache {
    /// The entry that was listed.
    pub(super) fn entry(&self) -> CacheEntry {
        CacheEntry::new(self.name.clone(), Version::new(self.version.as_str()))
    }
}

/// Looks at a store once, and says what would go by the policy at `now`.
///
/// Only caches go that can be read and are no images; whatever else has a name keeps what it reaches. What publishers have
/// left for a cache keeps what it reaches for a day, and goes then.
///
/// # Errors
/// Whatever the store answers; and when something in it cannot be read so far that its blobs are known, because then
/// nobody knows which blobs are free.
pub async fn plan_prune(store: &dyn CacheStore, policy: &PrunePolicy, now: Timestamp) -> Result<PrunePlan> {
    // The blobs first: one that is written after them is in no plan, whatever reaches it.
    let (listed, note) = list_blobs(store).await?;
    let (looked, unreadable) = look_at_names(store, listed.is_some()).await?;
    let contributed = Contributed::look(store, now).await?;
    let (reasons, bytes_over) = policy.choose(&looked, now);
    let (mut caches, mut kept, mut kept_caches) = (Vec::new(), Reach::default(), 0);
    for (cache, reason) in looked.into_iter().zip(reasons) {
        match reason {
            Some(reason) => caches.push(planned_cache(cache, reason)),
            None => {
                kept.extend(&cache.reach);
                kept_caches += 1;
            }
        }
    }
    contributed.young.iter().for_each(|contribution| kept.extend(&contribution.reach));
    caches.extend(contributed.old.into_iter().map(|old| planned_cache(old, PruneReason::Contribution)));
    caches.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    let free = |listed: Vec<BlobEntry>| {
        let unreached = listed.into_iter().filter(|blob| !kept.contains(&blob.digest));
        unreached.partition::<Vec<BlobEntry>, _>(|blob| is_older(blob.modified, policy.grace, now))
    };
    let (old, young) = listed.map(free).map_or((None, Vec::new()), |(old, young)| (Some(old), young));
    let (kept_bytes, grace_seconds, young_blobs) = (kept.bytes(), policy.grace.as_secs(), young.len());
    let young_bytes = young.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    let blobs = old.map(|blobs| blobs.iter().map(planned_blob).collect());
    Ok(PrunePlan {
        made_at: now,
        grace_seconds,
        caches,
        blobs,
        note,
        kept_caches: kept_caches + unreadable.len(),
        unreadable,
        kept_bytes,
        bytes_over,
        young_blobs,
        young_bytes,
    })
}

/// Looks at everything that has a name. Where blobs are deleted, all of it has to be read: what it reaches would be lost.
async fn look_at_names(store: &dyn CacheStore, deletes_blobs: bool) -> Result<(Vec<Looked>, Vec<UnreadableName>)> {
    if deletes_blobs {
        return Ok((look(store, store.caches().await?, LOOKS).await?, Vec::new()));
    }
    let listing = store.list().await?;
    let (looked, unreadable) = look_at_each(store, listing.caches, LOOKS).await;
    let unreadable = listing.unreadable.into_iter().chain(unreadable);
    let name = |cache: UnreadableCache| UnreadableName { name: cache.name, why: cache.error.to_string() };
    Ok((looked, unreadable.map(name).collect()))
}

fn planned_cache(cache: Looked, reason: PruneReason) -> PlannedCache {
    PlannedCache {
        version: cache.entry.version.as_str().to_owned(),
        digest: cache.entry.descriptor.as_ref().map(|manifest: &Descriptor| manifest.digest),
        name: cache.entry.name,
        modified: cache.modified,
        bytes: cache.reach.bytes(),
        reason,
    }
}

/// In order of digest; none where the store has no list of them, and why.
async fn list_blobs(store: &dyn CacheStore) -> Result<(Option<Vec<BlobEntry>>, Option<String>)> {
    if let Some(collection) = store.own_collection() {
        return Ok((None, Some(collection.to_owned())));
    }
    let mut blobs: Vec<BlobEntry> = store.blobs().try_collect().await?;
    blobs.sort_unstable_by_key(|blob| blob.digest);
    Ok((Some(blobs), None))
}

fn planned_blob(blob: &BlobEntry) -> PlannedBlob {
    let version = blob.version.as_str().to_owned();
    PlannedBlob { digest: blob.digest, size: blob.size, modified: blob.modified, version }
}
