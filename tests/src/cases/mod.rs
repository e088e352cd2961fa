//! The rules for every backend, one function each; the list is in [`conformance!`](crate::conformance).
//!
//! A case uses a backend only through the traits, and does nothing if the backend lacks the operation.

pub mod answers;
pub mod blob;
pub mod credentials;
pub mod export;
pub mod faults;
pub mod hostile;
pub mod image;
pub mod manifest;
pub mod prune;
pub mod publish;
pub mod repair;
pub mod secrets;
pub mod spec;
pub mod store;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use cache_core::seams::Committed;
use cache_core::{
    BlobStream, CacheImporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, MediaType, Resolved, Version,
};
use cache_memory::MemoryCache;
use cache_ops::{Depth, ExportReport, ExportSettings, export, verify};
use futures_util::stream::TryStreamExt;

use crate::graphs::Generated;
use crate::harness::Harness;

/// A blob and a source with it.
fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

async fn bytes_of(stream: BlobStream) -> Vec<u8> {
    stream.try_collect::<Vec<Bytes>>().await.expect("the blob can be read").concat()
}

/// Writes a cache to the place without a condition.
async fn write(place: &dyn Harness, cache: &Generated) -> ExportReport {
    export(&cache.manifest, &cache.blobs, &*place.exporter().await, &ExportSettings::default())
        .await
        .expect("a sound cache is written")
}

/// Writes a cache to the place on a condition.
async fn commit(place: &dyn Harness, cache: &Generated, expect: Expect) -> Result<Committed, Error> {
    let settings = ExportSettings::default().with_expect(expect);
    export(&cache.manifest, &cache.blobs, &*place.exporter().await, &settings).await.map(|report| report.committed)
}

async fn resolve(place: &dyn Harness) -> Option<Resolved> {
    place.importer().await.resolve().await.expect("the place can be read")
}

async fn version(place: &dyn Harness) -> Version {
    resolve(place).await.expect("the place holds a cache").version
}

/// Whether the place holds this cache, by its config.
async fn holds(place: &dyn Harness, cache: &Generated) -> bool {
    resolve(place).await.is_some_and(|resolved| is_same(&resolved.manifest, &cache.manifest))
}

/// Whether two manifests have the same graph, without the descriptors that an s3 index contains.
fn is_same(a: &CacheManifest, b: &CacheManifest) -> bool {
    let without_annotations = |manifest: &CacheManifest| {
        let mut config = manifest.config().clone();
        config.layers.iter_mut().for_each(|layer| layer.annotations = None);
        config
    };
    without_annotations(a) == without_annotations(b)
}

/// Checks that the place holds this cache with every blob.
async fn assert_holds(place: &dyn Harness, cache: &Generated) {
    which(place, std::slice::from_ref(cache)).await;
}

/// Which of these caches the place holds, with every blob.
async fn which(place: &dyn Harness, caches: &[Generated]) -> usize {
    let importer = place.importer().await;
    let resolved = importer.resolve().await.expect("the place can be read").expect("the place holds a cache");
    let held = caches.iter().position(|cache| is_same(&resolved.manifest, &cache.manifest));
    assert_sound(&resolved.manifest, &*importer).await;
    held.expect("the place holds another cache")
}

async fn assert_sound(manifest: &CacheManifest, blobs: &dyn CacheImporter) {
    let report = verify(manifest, blobs, Depth::Deep, 4).await.expect("the blobs can be read");
    assert!(report.is_sound(), "{:?}", report.findings);
}

fn assert_conflict(outcome: Result<Committed, Error>) {
    let error = outcome.expect_err("the commit is refused");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

/// Polls a future `times` times and then drops it; `None` if it was not ready.
async fn poll_times<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
