//! [`PrunePlan`]: what is to be deleted, as of one moment.

use std::collections::HashMap;
use std::time::Duration;

use cache_core::seams::{BlobEntry, CacheEntry, UnreadableCache};
use cache_core::{CacheStore, Descriptor, Digest, Result, Timestamp, Version};
use futures_util::stream::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::contributions::Contributed;
use super::look::{Looked, look, look_at_each};
use super::policy::{PrunePolicy, PruneReason, is_older};
use super::{PruneEvent, PruneSettings};
use crate::{LookEvent, Reached};

/// Which caches and blobs are to be deleted. It can be kept as JSON, and carried out later.
///
/// [`prune`](crate::prune()) checks again before it deletes: a cache that was written since is kept, and so is a blob
/// that was written, refreshed or reached since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PrunePlan {
    /// When the store was read.
    pub made_at: Timestamp,
    /// The grace in seconds: younger blobs are kept.
    pub grace_seconds: u64,
    /// The caches to delete, the oldest first.
    pub caches: Vec<PlannedCache>,
    /// The blobs to delete; `None`, which is `null` in JSON, if the store cannot list them.
    pub blobs: Option<Vec<PlannedBlob>>,
    /// Why there are no blobs in the plan, and who deletes them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// The names that cannot be read; they are kept, with the blobs that their manifests name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unreadable: Vec<UnreadableName>,
    /// The patterns of names to keep that match no name in the store.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unmatched_keep: Vec<String>,
    /// How many caches and other names are kept.
    pub kept_caches: usize,
    /// The bytes that they reach, each blob counted once.
    pub kept_bytes: u64,
    /// By how much that exceeds the policy's space although nothing else may be deleted.
    pub bytes_over: u64,
    /// How many blobs are unreachable but younger than the grace.
    pub young_blobs: usize,
    /// The bytes of those.
    #[serde(default)]
    pub young_bytes: u64,
}

/// A cache to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedCache {
    /// Its tag, name or scope.
    pub name: Option<String>,
    /// The state of the name when it was listed.
    pub version: String,
    /// Its manifest, if the store tells it.
    pub digest: Option<Digest>,
    /// When it was last written, as far as is known.
    pub modified: Option<Timestamp>,
    /// The bytes that it reaches.
    pub bytes: u64,
    /// Why it is to be deleted.
    pub reason: PruneReason,
    /// A kept name of the same manifest, or one whose manifest is unknown: some registries then keep this cache too.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub may_stay_with: Option<String>,
}

/// A name that is kept because its cache cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct UnreadableName {
    /// The tag, name or scope.
    pub name: String,
    /// Why it cannot be read.
    pub why: String,
}

impl UnreadableName {
    /// A cache of which only the manifest can be read.
    fn of_records(cache: &Looked) -> Option<Self> {
        let why = cache.unreadable.as_ref()?.to_string();
        Some(Self { name: cache.entry.name.clone().unwrap_or_else(|| "(no name)".to_owned()), why })
    }
}

/// A blob to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    /// The bytes of the blobs to delete.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().flatten().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }

    /// The grace: younger blobs are kept.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// Whether the store was empty.
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

/// Reads a store, and lists what the policy deletes at `now`.
///
/// Only readable caches are deleted. Images and other names are kept with the blobs that they reach. A contribution of
/// a publisher is kept for a day, with its blobs, and then deleted.
///
/// Whether a registry can delete one of several tags of a manifest is known only once it is asked to. The plan says
/// which caches depend on that ([`PlannedCache::may_stay_with`]).
///
/// Memory grows with the number of blobs that the caches reach and of blobs to delete. Of the settings only the
/// progress is used.
///
/// # Errors
/// Errors of the store; and if something in the store cannot be read, because then it is unknown which blobs are
/// needed.
///
/// # Panics
/// Outside of a Tokio runtime: each cache is read in a task of its own.
pub async fn plan_prune(
    store: &dyn CacheStore,
    policy: &PrunePolicy,
    now: Timestamp,
    settings: &PruneSettings,
) -> Result<PrunePlan> {
    let note = store.own_collection().map(str::to_owned);
    let mut reached = Reached::default();
    let Named { looked, mut unreadable, unlisted } =
        look_at_names(store, note.is_none(), settings, &mut reached).await?;
    let contributed = Contributed::look(store, now, settings, &mut reached).await?;
    let unmatched_keep = policy.unmatched(&names(&looked, &unreadable));
    let (reasons, bytes_over) = policy.choose(&looked, &reached, now);
    let (going, staying) = divide(looked, reasons);
    let kept_caches = unreadable.len() + staying.len();
    unreadable.extend(staying.iter().filter_map(UnreadableName::of_records));
    let mut kept = Kept::new(&reached);
    staying.iter().chain(&contributed.young).for_each(|cache| kept.add(cache));
    let old = contributed.old.into_iter().map(|old| (old, PruneReason::Contribution));
    let planned = going.into_iter().chain(old).map(|(cache, reason)| planned_cache(cache, reason, &reached));
    let mut caches: Vec<PlannedCache> = planned.collect();
    caches.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    if note.is_some() {
        name_what_may_keep(&mut caches, &staying, unlisted.as_ref());
    }
    let free = match note {
        Some(_) => Free::default(),
        None => free(store, &kept, policy, now, settings).await?,
    };
    Ok(PrunePlan {
        made_at: now,
        grace_seconds: policy.grace.as_secs(),
        caches,
        blobs: note.is_none().then_some(free.old),
        note,
        kept_caches,
        unreadable,
        unmatched_keep,
        kept_bytes: kept.bytes,
        bytes_over,
        young_blobs: free.young_blobs,
        young_bytes: free.young_bytes,
    })
}

/// Everything that has a name.
struct Named {
    looked: Vec<Looked>,
    unreadable: Vec<UnreadableName>,
    /// The first name of which the store does not say which manifest it leads to.
    unlisted: Option<String>,
}

/// Looks at everything that has a name. Where blobs are deleted, all of it has to be read: what it reaches would be lost.
async fn look_at_names(
    store: &dyn CacheStore,
    deletes_blobs: bool,
    settings: &PruneSettings,
    reached: &mut Reached,
) -> Result<Named> {
    if deletes_blobs {
        let looked = look(store, store.caches().await?, settings, reached).await?;
        return Ok(Named { looked, unreadable: Vec::new(), unlisted: None });
    }
    let listing = store.list().await?;
    let unlisted = listing.unreadable.first().map(|cache| cache.name.clone());
    let (looked, unreadable) = look_at_each(store, listing.caches, settings, reached).await;
    let unreadable = listing.unreadable.into_iter().chain(unreadable);
    let name = |cache: UnreadableCache| UnreadableName { name: cache.name, why: cache.error.to_string() };
    Ok(Named { looked, unreadable: unreadable.map(name).collect(), unlisted })
}

fn names<'a>(looked: &'a [Looked], unreadable: &'a [UnreadableName]) -> Vec<&'a str> {
    let looked = looked.iter().map(|cache| cache.entry.name.as_deref().unwrap_or_default());
    looked.chain(unreadable.iter().map(|unreadable| &*unreadable.name)).collect()
}

/// The caches with a reason to be deleted, and the others.
fn divide(looked: Vec<Looked>, reasons: Vec<Option<PruneReason>>) -> (Vec<(Looked, PruneReason)>, Vec<Looked>) {
    let (mut going, mut staying) = (Vec::new(), Vec::new());
    for (cache, reason) in looked.into_iter().zip(reasons) {
        match reason {
            Some(reason) => going.push((cache, reason)),
            None => staying.push(cache),
        }
    }
    (going, staying)
}

/// Sets [`PlannedCache::may_stay_with`]. The name that is not listed may lead to any of the manifests.
fn name_what_may_keep(caches: &mut [PlannedCache], staying: &[Looked], unlisted: Option<&String>) {
    let names = staying.iter().filter_map(|cache| Some((cache.entry.version.as_str(), cache.entry.name.as_ref()?)));
    let staying: HashMap<&str, &String> = names.collect();
    for cache in caches {
        cache.may_stay_with = staying.get(&*cache.version).copied().or(unlisted).cloned();
    }
}

fn planned_cache(cache: Looked, reason: PruneReason, reached: &Reached) -> PlannedCache {
    PlannedCache {
        version: cache.entry.version.as_str().to_owned(),
        digest: cache.entry.descriptor.as_ref().map(|manifest: &Descriptor| manifest.digest),
        name: cache.entry.name,
        modified: cache.modified,
        bytes: reached.sizes(&cache.blobs).fold(0, |sum, (_, size)| sum.saturating_add(size)),
        reason,
        may_stay_with: None,
    }
}

/// What the caches reach that stay.
struct Kept<'a> {
    reached: &'a Reached,
    blobs: Vec<bool>,
    bytes: u64,
}

impl<'a> Kept<'a> {
    fn new(reached: &'a Reached) -> Self {
        Self { reached, blobs: vec![false; reached.blobs()], bytes: 0 }
    }

    fn add(&mut self, cache: &Looked) {
        for (blob, size) in self.reached.sizes(&cache.blobs) {
            if !std::mem::replace(&mut self.blobs[blob], true) {
                self.bytes = self.bytes.saturating_add(size);
            }
        }
    }

    fn contains(&self, blob: &Digest) -> bool {
        self.reached.contains_among(blob, &self.blobs)
    }
}

/// The blobs that nothing keeps.
#[derive(Default)]
struct Free {
    /// In order of digest.
    old: Vec<PlannedBlob>,
    young_blobs: usize,
    young_bytes: u64,
}

/// Goes through the store's blobs once. A cache that was written after the others were looked at may need one of those
/// that are found here: whoever deletes them looks again.
async fn free(
    store: &dyn CacheStore,
    kept: &Kept<'_>,
    policy: &PrunePolicy,
    now: Timestamp,
    settings: &PruneSettings,
) -> Result<Free> {
    let (mut free, mut listed) = (Free::default(), 0);
    let mut blobs = store.blobs();
    while let Some(blob) = blobs.try_next().await? {
        listed += 1;
        (settings.progress)(&PruneEvent::Look(LookEvent::Listed { blobs: listed }));
        if kept.contains(&blob.digest) {
            continue;
        }
        if is_older(blob.modified, policy.grace, now) {
            free.old.push(planned_blob(&blob));
        } else {
            free.young_blobs += 1;
            free.young_bytes = free.young_bytes.saturating_add(blob.size);
        }
    }
    free.old.sort_unstable_by_key(|blob| blob.digest);
    Ok(free)
}

fn planned_blob(blob: &BlobEntry) -> PlannedBlob {
    PlannedBlob {
        digest: blob.digest,
        size: blob.size,
        modified: blob.modified,
        version: blob.version.as_str().to_owned(),
    }
}
