//! Servers that keep their clients busy: every call is bounded in time and bytes, and an incomplete list is never taken
//! for a complete one.

use std::future::Future;
use std::time::Duration;

use cache_core::seams::{BlobEntry, CacheEntry};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheStore, Error, Expect, Timestamp};
use futures_util::stream::TryStreamExt;

use super::{blob, write};
use crate::graphs::{self, Generated, Shape};
use crate::harness::{Harness, Hostility};
use crate::random::Random;

/// Bytes of a blob that is sent in parts to every store.
const LARGE: usize = (8 << 20) + 1;
/// A cache of few blobs, since it is written again for every run.
const SMALL: Shape = Shape { records: 3, depth: 2, results: 2, layer_bytes: 100 };
/// The longest time of a call, far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The body of an error is read up to a limit.
pub async fn endless_errors_end(place: &dyn Harness) {
    try_everything(place, Hostility::EndlessErrors).await;
}

/// Documents, lists and the answers to writes have a size limit, and blobs end at the size in their descriptors.
pub async fn endless_bodies_end(place: &dyn Harness) {
    try_everything(place, Hostility::EndlessBodies).await;
}

/// A body that is sent very slowly is an error.
pub async fn slow_bodies_end(place: &dyn Harness) {
    try_everything(place, Hostility::Trickle).await;
}

/// Pages that lead to each other are an error, and not the end of a list.
pub async fn repeating_pages_are_an_error(place: &dyn Harness) {
    lists_are_errors(place, Hostility::RepeatingPages).await;
}

/// Too many pages are an error as well.
pub async fn endless_lists_are_an_error(place: &dyn Harness) {
    lists_are_errors(place, Hostility::EndlessPages).await;
}

async fn lists_are_errors(place: &dyn Harness, how: Hostility) {
    let _ = Known::write(place).await;
    let Some(backend) = place.hostile(&how) else { return };
    tokio::time::resume();
    if let Some(store) = backend.store(&place.spec()).await.expect("the spec is valid") {
        let caches = ends("caches", store.caches()).await;
        let blobs = ends("blobs", store.blobs().try_collect::<Vec<_>>()).await;
        assert!(caches.is_err(), "{how:?}: {caches:?}");
        assert!(blobs.is_err(), "{how:?}: {blobs:?}");
    }
    place.calm();
}

/// Every call ends, whatever its result.
async fn try_everything(place: &dyn Harness, how: Hostility) {
    let known = Known::write(place).await;
    let Some(backend) = place.hostile(&how) else { return };
    tokio::time::resume();
    everything(&*backend, place, &known, 0, LARGE).await;
    place.calm();
    if let Some(store) = place.store().await {
        // The server may keep uploads that could not be cancelled.
        let _ = store.abort_uploads(Timestamp::now()).await;
    }
}

/// The content of a place before it became hostile.
pub(super) struct Known {
    cache: Generated,
    caches: Vec<CacheEntry>,
    blobs: Vec<BlobEntry>,
}

impl Known {
    /// Writes a cache and lists the content.
    pub(super) async fn write(place: &dyn Harness) -> Self {
        let cache = graphs::cache_of(1, SMALL);
        write(place, &cache).await;
        let (mut caches, mut blobs) = (Vec::new(), Vec::new());
        if let Some(store) = place.store().await {
            caches = store.caches().await.unwrap_or_default();
            blobs = store.blobs().try_collect().await.unwrap_or_default();
        }
        Self { cache, caches, blobs }
    }
}

/// Makes every call. Each seed gives other blobs; the larger one has `large` bytes.
pub(super) async fn everything(
    backend: &dyn CacheBackend,
    place: &dyn Harness,
    known: &Known,
    seed: u64,
    large: usize,
) {
    let spec = place.spec();
    read(&*backend.importer(&spec).await.expect("the spec is valid"), &known.cache).await;
    push(&*backend.exporter(&spec).await.expect("the spec is valid"), &known.cache, seed, large).await;
    if let Some(store) = backend.store(&spec).await.expect("the spec is valid") {
        list_and_delete(&*store, &known.caches, &known.blobs).await;
    }
    probe(backend, place).await;
}

async fn read(importer: &dyn CacheImporter, cache: &Generated) {
    let _ = ends("resolve", importer.resolve()).await;
    for blob in cache.manifest.blobs().iter().take(2) {
        let _ = ends("stat", importer.stat(blob)).await;
        let read = async { importer.read(blob, None).await?.try_collect::<Vec<_>>().await };
        let _ = ends("read", read).await;
    }
}

async fn push(exporter: &dyn CacheExporter, cache: &Generated, seed: u64, large: usize) {
    for size in [100, large] {
        let (blob, source) = blob(Random::new(seed).bytes(size));
        let _ = ends("push", exporter.push(&blob, &source)).await;
    }
    let _ = ends("push", exporter.push(&cache.manifest.blobs()[0], &cache.blobs)).await;
    let _ = ends("commit", exporter.commit(&cache.manifest, Expect::Any)).await;
    let _ = ends("commit", exporter.commit(&cache.manifest, Expect::Absent)).await;
}

async fn list_and_delete(store: &dyn CacheStore, caches: &[CacheEntry], blobs: &[BlobEntry]) {
    let _ = ends("caches", store.caches()).await;
    let _ = ends("blobs", store.blobs().try_collect::<Vec<_>>()).await;
    let _ = ends("abort_uploads", store.abort_uploads(Timestamp::now())).await;
    let _ = ends("quota", store.quota()).await;
    for cache in caches {
        let _ = ends("delete_cache", store.delete_cache(cache)).await;
    }
    let _ = ends("delete_blobs", async { Ok(store.delete_blobs(blobs).await.len()) }).await;
}

async fn probe(backend: &dyn CacheBackend, place: &dyn Harness) {
    if let Some(probe) = backend.probe(&place.spec()).await.expect("the spec is valid") {
        let _ = ends("diagnose", probe.diagnose()).await;
    }
}

/// The result of a call, which has to end in time.
async fn ends<T>(call: &str, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("{call} does not end"))
}
