//! Pruning deletes what nothing needs, and nothing else, also while others write.

use std::time::Duration;

use cache_core::seams::{BlobEntry, CacheEntry};
use cache_core::{CacheStore, Descriptor, Pushed, Timestamp};
use cache_ops::{ExportSettings, NameGlob, PrunePlan, PrunePolicy, PruneSettings, export, plan_prune, prune};
use futures_util::stream::TryStreamExt;

use super::{assert_holds, assert_sound, blob, poll_times, write};
use crate::graphs;
use crate::harness::Harness;

const HOUR: Duration = Duration::from_secs(3600);

/// An old blob that no cache reaches is deleted. The blobs of a cache are kept, whatever their age.
pub async fn prune_deletes_what_nothing_reaches(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let stray = push(place, "stray").await.0;
    let plan = plan(&*store, &policy()).await;
    if let Some(note) = &plan.note {
        assert!(plan.blobs.is_none() && note.contains("garbage collection"), "{note}");
        return;
    }
    if !age(place, &*store, 2 * HOUR).await {
        return;
    }
    let plan = self::plan(&*store, &policy()).await;
    assert_eq!(digests(&plan), [stray.digest]);
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, report.bytes, report.kept_blobs.len()), (1, stray.size, 0));
    assert_eq!(place.importer().await.stat(&stray).await.unwrap(), None);
    assert_holds(place, &cache).await;
    let again = self::plan(&*store, &policy()).await;
    assert!(again.is_empty(), "{again:?}");
}

/// A blob that is younger than the grace is kept, since it may belong to an export under way.
pub async fn prune_keeps_young_blobs(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let stray = push(place, "stray").await.0;
    if !age(place, &*store, 2 * HOUR).await {
        return;
    }
    let young = plan(&*store, &policy().with_grace(3 * HOUR)).await;
    assert_eq!((digests(&young).len(), young.young_blobs), (0, 1));
    prune(&*store, &young, &PruneSettings::default()).await.unwrap();
    assert!(place.importer().await.stat(&stray).await.unwrap().is_some());
    // Ages are checked again, whatever the plan says.
    let mut lying = plan(&*store, &policy()).await;
    lying.grace_seconds = (3 * HOUR).as_secs();
    assert_eq!(digests(&lying), [stray.digest]);
    assert_eq!(prune(&*store, &lying, &PruneSettings::default()).await.unwrap().kept_blobs, [stray.digest]);
}

/// A push of an old blob refreshes it, so that it is kept.
pub async fn prune_keeps_a_blob_that_was_pushed_since(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let stray = push(place, "stray").await.0;
    if !age(place, &*store, 48 * HOUR).await {
        return;
    }
    let plan = plan(&*store, &policy()).await;
    assert_eq!(digests(&plan), [stray.digest]);
    let (_, pushed) = push(place, "stray").await;
    if pushed == Pushed::Present {
        println!("skipped: this store has no cheap way to say that a blob is needed");
        return;
    }
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, report.kept_blobs), (0, vec![stray.digest]));
    assert!(place.importer().await.stat(&stray).await.unwrap().is_some());
}

/// The store is read again before anything is deleted: a cache that was written since the plan keeps its blobs.
pub async fn prune_keeps_blobs_that_a_new_cache_reaches(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        place.exporter().await.push(blob, &cache.blobs).await.unwrap();
    }
    if !age(place, &*store, 2 * HOUR).await {
        return;
    }
    let plan = plan(&*store, &policy()).await;
    assert_eq!(digests(&plan).len(), cache.manifest.blobs().len());
    write(place, &cache).await;
    // As if the writer had found all blobs, but could not refresh them.
    age(place, &*store, 2 * HOUR).await;
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!(report.blobs, 0);
    assert_holds(place, &cache).await;
}

/// A cache that was written since the plan is kept.
pub async fn prune_keeps_a_cache_that_was_written_since(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    write(place, &graphs::cache(1)).await;
    let plan = plan(&*store, &policy().with_keep_latest(0)).await;
    assert_eq!(plan.caches.len(), 1);
    write(place, &graphs::cache(2)).await;
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.caches.len(), report.kept_caches.len()), (0, 1));
    assert_holds(place, &graphs::cache(2)).await;
}

/// The caches of the policy are deleted with the blobs that only they reach; the others stay whole.
pub async fn prune_deletes_caches_by_policy(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let Some((other, exporter)) = place.other().await else { return };
    let (cache, kept) = (graphs::cache(1), graphs::cache(2));
    export(&kept.manifest, &kept.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
    let name = store.caches().await.unwrap().remove(0).name.expect("it has a name");
    write(place, &cache).await;
    let can_age = age(place, &*store, 2 * HOUR).await;
    let plan = plan(&*store, &policy().with_keep_latest(0).with_keep(NameGlob::new(&name))).await;
    assert_eq!((plan.caches.len(), plan.kept_caches), (1, 1));
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!(report.caches.len(), 1);
    let left: Vec<CacheEntry> = store.caches().await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.name.as_deref()).collect::<Vec<_>>(), [Some(name.as_str())]);
    let resolved = other.resolve().await.unwrap().expect("it was kept");
    assert_sound(&resolved.manifest, &*other).await;
    if can_age && plan.blobs.is_some() {
        let own =
            cache.manifest.blobs().iter().find(|blob| !kept.manifest.blobs().contains(blob)).expect("they differ");
        assert_eq!(other.stat(own).await.unwrap(), None);
    }
}

/// Whenever a prune is dropped, every remaining cache has all of its blobs.
pub async fn a_prune_that_is_dropped_leaves_whole_caches(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let Some((other, exporter)) = place.other().await else { return };
    for polls in [1, 2, 3, 5, 8, 13, 21, 34] {
        write(place, &graphs::cache(1)).await;
        let kept = graphs::cache(2);
        export(&kept.manifest, &kept.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
        push(place, "stray").await;
        if !age(place, &*store, 2 * HOUR).await {
            return;
        }
        let plan = plan(&*store, &policy().with_keep_latest(1)).await;
        poll_times(polls, prune(&*store, &plan, &PruneSettings::default())).await;
        crate::harness::settle().await;
        for importer in [&other, &place.importer().await] {
            if let Some(resolved) = importer.resolve().await.unwrap() {
                assert_sound(&resolved.manifest, &**importer).await;
            }
        }
    }
}

fn policy() -> PrunePolicy {
    PrunePolicy::new(Duration::from_secs(3600)).with_grace(HOUR)
}

async fn plan(store: &dyn CacheStore, policy: &PrunePolicy) -> PrunePlan {
    plan_prune(store, policy, Timestamp::now(), &PruneSettings::default()).await.expect("every cache can be read")
}

fn digests(plan: &PrunePlan) -> Vec<cache_core::Digest> {
    plan.blobs.iter().flatten().map(|blob| blob.digest).collect()
}

async fn push(place: &dyn Harness, content: &'static str) -> (Descriptor, Pushed) {
    let (desc, source) = blob(content);
    let pushed = place.exporter().await.push(&desc, &source).await.unwrap();
    (desc, pushed)
}

/// Makes every blob `age` old, if the place supports that.
async fn age(place: &dyn Harness, store: &dyn CacheStore, age: Duration) -> bool {
    let Ok(blobs) = store.blobs().try_collect::<Vec<BlobEntry>>().await else { return false };
    let modified = Timestamp::now().saturating_sub(age);
    for blob in blobs {
        if !place.set_modified(&blob.digest, modified).await {
            println!("skipped: nobody can make a blob older here");
            return false;
        }
    }
    true
}
