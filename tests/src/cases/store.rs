//! Listing and deleting, for backends with a store.

use cache_core::seams::{BlobEntry, CacheEntry, Deleted};
use cache_core::{CacheStore, Descriptor, Error, ErrorKind};
use cache_ops::{ExportSettings, export};
use futures_util::stream::TryStreamExt;

use super::{assert_holds, assert_sound, blob, is_same, resolve, version, write};
use crate::graphs;
use crate::harness::Harness;

/// Listing a store that does not exist is not an error and leaves no trace.
pub async fn a_store_of_nothing_lists_nothing_and_creates_nothing(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let before = place.contents().await;
    assert_eq!(store.caches().await.unwrap(), []);
    assert_eq!(blobs(&*store).await, []);
    assert_eq!(place.contents().await, before);
}

/// Names are listed in order, each with the version that a reader sees.
pub async fn a_store_lists_what_was_committed(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    write(place, &graphs::cache(1)).await;
    let [entry] = &store.caches().await.unwrap()[..] else { panic!("one cache was committed") };
    assert_eq!(entry.version, version(place).await);
    let Some((_, exporter)) = place.other().await else { return };
    let other = graphs::cache(2);
    export(&other.manifest, &other.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
    let names: Vec<_> = store.caches().await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), 2);
    assert!(names.is_sorted() && names.contains(&entry.name), "{names:?}");
}

/// A listed cache can be read.
pub async fn a_listed_cache_opens(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let opened = store.open(&only_cache(&*store).await).await.unwrap();
    let resolved = opened.resolve().await.unwrap().expect("it is listed");
    assert!(is_same(&resolved.manifest, &cache.manifest));
    assert_sound(&resolved.manifest, &*opened).await;
}

/// Every blob is listed once with its size, also those of no cache.
pub async fn a_store_lists_every_blob(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let (stray, source) = blob("stray");
    place.exporter().await.push(&stray, &source).await.unwrap();
    let listed = blobs(&*store).await;
    let mut expected: Vec<_> = cache.manifest.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
    expected.push((stray.digest, stray.size));
    for (digest, size) in expected {
        let sizes: Vec<_> = listed.iter().filter(|entry| entry.digest == digest).map(|entry| entry.size).collect();
        assert_eq!(sizes, [size], "{digest}");
    }
}

/// A cache that was written since it was listed is kept; one that is deleted already is not an error.
pub async fn delete_cache_is_conditional(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    write(place, &graphs::cache(1)).await;
    let stale = only_cache(&*store).await;
    write(place, &graphs::cache(2)).await;
    assert_conflict(store.delete_cache(&stale).await);
    assert_holds(place, &graphs::cache(2)).await;
    let entry = only_cache(&*store).await;
    assert_eq!(store.delete_cache(&entry).await.unwrap(), Deleted::Removed);
    assert!(resolve(place).await.is_none());
    assert_eq!(store.delete_cache(&entry).await.unwrap(), Deleted::Absent);
    assert_eq!(store.caches().await.unwrap(), []);
}

/// Deleting a cache removes its name and nothing else.
pub async fn deleting_a_cache_leaves_the_others_and_the_blobs(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let Some((other, exporter)) = place.other().await else { return };
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let entry = only_cache(&*store).await;
    export(&cache.manifest, &cache.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
    assert_eq!(store.delete_cache(&entry).await.unwrap(), Deleted::Removed);
    assert!(resolve(place).await.is_none());
    let resolved = other.resolve().await.unwrap().expect("it was not deleted");
    assert_sound(&resolved.manifest, &*other).await;
}

/// A blob that was written since it was listed is kept.
pub async fn delete_blob_is_conditional(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let (desc, source) = blob("layer");
    let exporter = place.exporter().await;
    exporter.push(&desc, &source).await.unwrap();
    let stale = entry_of(&*store, &desc).await;
    assert_eq!(store.delete_blob(&stale).await.unwrap(), Deleted::Removed);
    assert_eq!(store.delete_blob(&stale).await.unwrap(), Deleted::Absent);
    exporter.push(&desc, &source).await.unwrap();
    assert_conflict(store.delete_blob(&stale).await);
    assert!(place.importer().await.stat(&desc).await.unwrap().is_some());
    assert_eq!(store.delete_blob(&entry_of(&*store, &desc).await).await.unwrap(), Deleted::Removed);
    assert_eq!(place.importer().await.stat(&desc).await.unwrap(), None);
}

/// The outcomes are in the order of the blobs, and a blob that has changed does not stop the others.
pub async fn deleting_many_blobs_returns_an_outcome_for_each(place: &dyn Harness) {
    let Some(store) = place.store().await else { return };
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let mut listed = blobs(&*store).await;
    listed.retain(|entry| cache.manifest.descriptor(&entry.digest).is_some());
    let [gone, changed, rest @ ..] = &listed[..] else { panic!("the cache has two blobs") };
    assert_eq!(store.delete_blob(gone).await.unwrap(), Deleted::Removed);
    assert_eq!(store.delete_blob(changed).await.unwrap(), Deleted::Removed);
    let blob = cache.manifest.descriptor(&changed.digest).expect("it is listed");
    place.exporter().await.push(blob, &cache.blobs).await.unwrap();
    let mut outcomes = store.delete_blobs(&listed).await.into_iter();
    assert_eq!(outcomes.next().expect("an outcome each").unwrap(), Deleted::Absent);
    assert_conflict(outcomes.next().expect("an outcome each"));
    let removed: Vec<_> = outcomes.map(Result::unwrap).collect();
    assert_eq!(removed, vec![Deleted::Removed; rest.len()]);
    let left: Vec<_> = blobs(&*store).await.into_iter().map(|entry| entry.digest).collect();
    assert!(left.contains(&changed.digest) && !rest.iter().any(|entry| left.contains(&entry.digest)), "{left:?}");
}

async fn only_cache(store: &dyn CacheStore) -> CacheEntry {
    let mut caches = store.caches().await.unwrap();
    assert_eq!(caches.len(), 1, "{caches:?}");
    caches.remove(0)
}

async fn blobs(store: &dyn CacheStore) -> Vec<BlobEntry> {
    store.blobs().try_collect().await.unwrap()
}

async fn entry_of(store: &dyn CacheStore, blob: &Descriptor) -> BlobEntry {
    let listed = blobs(store).await;
    listed.into_iter().find(|entry| entry.digest == blob.digest).expect("the blob is listed")
}

fn assert_conflict(outcome: Result<Deleted, Error>) {
    let error = outcome.expect_err("the deletion is refused");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}
