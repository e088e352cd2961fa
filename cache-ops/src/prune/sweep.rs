//! [`prune`]: carries a plan out, caches first, and blobs only as long as nothing reaches them.

use std::collections::{HashMap, HashSet};

use cache_core::seams::{BlobEntry, CacheEntry, Deleted, Silent};
use cache_core::{CacheStore, Digest, Error, ErrorKind, Result, Timestamp, Version};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::look::look;
use super::pace::Pace;
use super::plan::{PlannedCache, PrunePlan};
use super::policy::is_older;
use super::settings::{PruneEvent, PruneSettings};
use crate::Reached;

/// How many blobs are deleted in one call; what S3 deletes in one request.
const BATCH: usize = 1_000;
/// How many such calls are under way at once, between two looks at the store.
const AT_ONCE: usize = 4;
/// How often the store is listed before a round, while caches that were listed are replaced.
const LOOKS: usize = 20;

/// A cache of a plan that was not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCache {
    /// The cache.
    pub cache: PlannedCache,
    /// Why it was not deleted.
    pub why: String,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// The caches that are gone.
    pub caches: Vec<PlannedCache>,
    /// The caches of the plan that were deleted already.
    pub gone_caches: Vec<PlannedCache>,
    /// The caches of the plan that were not deleted.
    pub kept_caches: Vec<KeptCache>,
    /// How many blobs are gone.
    pub blobs: usize,
    /// The bytes of those.
    pub bytes: u64,
    /// The blobs that stay: they were written, refreshed or reached since the plan was made, or are too young.
    pub kept_blobs: Vec<Digest>,
    /// How many unfinished uploads were deleted.
    pub uploads: usize,
    /// A note, such as why unfinished uploads stay if the store does not list them.
    pub note: Option<String>,
}

/// Carries a plan out: deletes its caches, then its blobs. [Pruning](crate#pruning) has an example.
///
/// Before each round of blobs the store's caches are listed again, and the new ones are read: a blob that one of them
/// reaches stays. Deletions are conditional where the store can do that, so that a blob that a writer refreshes in
/// between stays too. An error, or an end at any moment, leaves a store in which every cache has its blobs; the same
/// plan goes on from there, and finds gone what was deleted.
///
/// # Errors
/// The first error of the store; and if a cache was written that cannot be read, since it is then unknown which blobs
/// are free.
///
/// # Panics
/// Outside of a Tokio runtime: each cache is read in a task of its own.
pub async fn prune(store: &dyn CacheStore, plan: &PrunePlan, settings: &PruneSettings) -> Result<PruneReport> {
    let mut report = PruneReport::default();
    delete_caches(store, plan, settings, &mut report).await?;
    let now = Timestamp::now();
    if plan.blobs.as_ref().is_some_and(|blobs| !blobs.is_empty()) {
        let free = unchanged(store, plan, now, &mut report).await?;
        let (mut sight, mut pace) = (Sight::default(), Pace::new(settings.rate));
        let (total, mut done) = (free.len(), 0);
        for round in free.chunks(pace.batch(BATCH) * AT_ONCE) {
            sight.look_again(store, settings).await?;
            let (kept, free): (Vec<_>, Vec<_>) =
                round.iter().cloned().partition(|blob| sight.reached.contains(&blob.digest));
            report.kept_blobs.extend(kept.iter().map(|blob| blob.digest));
            done += kept.len();
            let mut batches = delete_batches(store, &free, settings, &mut pace);
            while let Some(batch) = batches.next().await {
                done += batch.len();
                count(batch, &mut report)?;
                (settings.progress)(&PruneEvent::Blobs { done, total, bytes: report.bytes });
            }
        }
    }
    if plan.blobs.is_some() {
        match store.abort_uploads(before(now, plan)).await {
            Ok(aborted) => report.uploads = aborted,
            // The plan itself is carried out by now.
            Err(error) => report.note = Some(format!("unfinished uploads of killed writers are not deleted: {error}")),
        }
    }
    Ok(report)
}

async fn delete_caches(
    store: &dyn CacheStore,
    plan: &PrunePlan,
    settings: &PruneSettings,
    report: &mut PruneReport,
) -> Result<()> {
    let mut with_all_names = HashSet::new();
    let written_again = written_again(store, plan).await?;
    for cache in &plan.caches {
        let entry = cache.entry();
        if written_again.contains(&(&cache.name, &cache.version)) {
            let why = "it was written again".to_owned();
            report.kept_caches.push(KeptCache { cache: cache.clone(), why });
            (settings.progress)(&PruneEvent::Cache { name: cache.name.clone(), is_gone: false });
            continue;
        }
        let deleted = match settings.retry.run(&Silent, || store.delete_cache(&entry)).await {
            Err(error) if error.kind() == ErrorKind::InUse && are_all_planned(store, plan, cache).await? => {
                // Every name of the manifest goes, so it may be deleted with all of them.
                with_all_names.insert(cache.version.as_str());
                let unnamed = CacheEntry::new(None, entry.version.clone());
                settings.retry.run(&Silent, || store.delete_cache(&unnamed)).await
            }
            deleted => deleted,
        };
        let name = cache.name.clone();
        match deleted {
            Ok(deleted) => {
                let was_gone = deleted == Deleted::Absent && !with_all_names.contains(cache.version.as_str());
                let list = if was_gone { &mut report.gone_caches } else { &mut report.caches };
                list.push(cache.clone());
                (settings.progress)(&PruneEvent::Cache { name, is_gone: true });
            }
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::InUse) => {
                report.kept_caches.push(KeptCache { cache: cache.clone(), why: error.to_string() });
                (settings.progress)(&PruneEvent::Cache { name, is_gone: false });
            }
            Err(error) => return Err(error.with("cache", name.unwrap_or_default())),
        }
    }
    Ok(())
}

/// The caches of a plan that are younger by now. Where a version is a digest, the same bytes have the same one. A registry,
/// which deletes no blobs, does not tell when a name was written.
async fn written_again<'a>(
    store: &dyn CacheStore,
    plan: &'a PrunePlan,
) -> Result<HashSet<(&'a Option<String>, &'a String)>> {
    if plan.caches.is_empty() || plan.blobs.is_none() {
        return Ok(HashSet::new());
    }
    let caches = store.caches().await?;
    let times: HashMap<_, _> =
        caches.iter().map(|entry| ((&entry.name, entry.version.as_str()), entry.modified)).collect();
    let is_younger = |cache: &&PlannedCache| {
        let now = times.get(&(&cache.name, cache.version.as_str())).copied().flatten();
        now.zip(cache.modified).is_some_and(|(now, then)| now > then)
    };
    Ok(plan.caches.iter().filter(is_younger).map(|cache| (&cache.name, &cache.version)).collect())
}

async fn are_all_planned(store: &dyn CacheStore, plan: &PrunePlan, cache: &PlannedCache) -> Result<bool> {
    let planned: HashSet<(Option<&str>, &str)> =
        plan.caches.iter().map(|cache| (cache.name.as_deref(), cache.version.as_str())).collect();
    let listing = store.list().await?;
    if !listing.unreadable.is_empty() {
        return Ok(false);
    }
    let mut of_one_manifest = listing.caches.iter().filter(|entry| entry.version.as_str() == cache.version);
    Ok(of_one_manifest.all(|entry| planned.contains(&(entry.name.as_deref(), entry.version.as_str()))))
}

/// The blobs of the plan that are still as they were.
async fn unchanged(
    store: &dyn CacheStore,
    plan: &PrunePlan,
    now: Timestamp,
    report: &mut PruneReport,
) -> Result<Vec<BlobEntry>> {
    let planned: HashMap<Digest, &str> =
        plan.blobs.iter().flatten().map(|blob| (blob.digest, blob.version.as_str())).collect();
    let mut free = Vec::new();
    let mut listed = store.blobs();
    while let Some(blob) = listed.try_next().await? {
        let Some(version) = planned.get(&blob.digest) else { continue };
        if blob.version.as_str() == *version && is_older(blob.modified, plan.grace(), now) {
            free.push(blob);
        } else {
            report.kept_blobs.push(blob.digest);
        }
    }
    free.sort_unstable_by_key(|blob| blob.digest);
    Ok(free)
}

/// What the caches seen so far reach; it only grows.
#[derive(Default)]
struct Sight {
    seen: HashSet<(Option<String>, Version)>,
    reached: Reached,
}

impl Sight {
    /// Reads what is new in the store. A cache that is gone by then may have been replaced, so the store is listed again.
    async fn look_again(&mut self, store: &dyn CacheStore, settings: &PruneSettings) -> Result<()> {
        for _ in 0..LOOKS {
            let mut caches = store.caches().await?;
            caches.extend(store.contributions().await?);
            let is_new = |entry: &CacheEntry| self.seen.insert((entry.name.clone(), entry.version.clone()));
            let new: Vec<CacheEntry> = caches.into_iter().filter(is_new).collect();
            let count = new.len();
            if look(store, new, settings, &mut self.reached).await?.len() == count {
                return Ok(());
            }
        }
        let error = Error::new(ErrorKind::Conflict, "the caches of the store change faster than they can be read");
        Err(error.with("tries", LOOKS).with_hint("prune again when fewer builds are running"))
    }
}

/// Deletes blobs in batches, several at once and none before its time.
fn delete_batches<'a>(
    store: &'a dyn CacheStore,
    blobs: &'a [BlobEntry],
    settings: &'a PruneSettings,
    pace: &'a mut Pace,
) -> BoxStream<'a, Vec<(&'a BlobEntry, Result<Deleted>)>> {
    let batch = pace.batch(BATCH);
    let batches: Vec<BoxFuture<'a, _>> = blobs
        .chunks(batch)
        .map(|batch| {
            let turn = pace.turn(batch.len());
            async move {
                tokio::time::sleep_until(turn).await;
                delete_batch(store, batch, settings).await
            }
            .boxed()
        })
        .collect();
    stream::iter(batches).buffer_unordered(AT_ONCE).boxed()
}

async fn delete_batch<'a>(
    store: &dyn CacheStore,
    blobs: &'a [BlobEntry],
    settings: &PruneSettings,
) -> Vec<(&'a BlobEntry, Result<Deleted>)> {
    let mut outcomes = Vec::with_capacity(blobs.len());
    for (blob, outcome) in blobs.iter().zip(store.delete_blobs(blobs).await) {
        let outcome = match outcome {
            Err(error) if error.is_retryable() => settings.retry.run(&Silent, || store.delete_blob(blob)).await,
            outcome => outcome,
        };
        outcomes.push((blob, outcome));
    }
    outcomes
}

/// Counts the outcomes of a batch.
///
/// # Errors
/// The first deletion that failed; the others are counted.
fn count(batch: Vec<(&BlobEntry, Result<Deleted>)>, report: &mut PruneReport) -> Result<()> {
    let mut failure = None;
    for (blob, outcome) in batch {
        match outcome {
            Ok(Deleted::Removed) => {
                report.blobs += 1;
                report.bytes = report.bytes.saturating_add(blob.size);
            }
            Ok(Deleted::Absent) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => report.kept_blobs.push(blob.digest),
            Err(error) => failure = failure.or(Some(error.with("blob", blob.digest))),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Uploads that began before this belong to writers that have ended.
fn before(now: Timestamp, plan: &PrunePlan) -> Timestamp {
    now.saturating_sub(plan.grace())
}
