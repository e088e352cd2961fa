//! The facts of the backend, and that every public future can be passed to `tokio::spawn`: the test is that this
//! compiles.

use cache_core::seams::CacheProbe as _;
use cache_core::{
    CacheBackend as _, CacheExporter as _, CacheImporter as _, CacheManifest, CacheSpec, CacheStore as _, Expect,
};

use crate::{Environment, S3, S3Exporter, S3Importer, S3Probe, S3Store};

fn spawns<F: Future + Send + 'static>(_: F) {}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn opening(backend: S3, spec: CacheSpec) {
    spawns(async move {
        backend.publisher(&spec).await?;
        backend.store(&spec).await?;
        backend.probe(&spec).await.map(drop)
    });
}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn working(from: S3Importer, to: S3Exporter, store: S3Store, probe: S3Probe, cache: CacheManifest) {
    spawns(async move {
        from.resolve().await?;
        for blob in cache.blobs() {
            to.push(blob, &from).await?;
        }
        to.commit(&cache, Expect::Any).await?;
        store.caches().await?;
        probe.diagnose().await.map(drop)
    });
}

#[test]
fn a_prune_waits_until_buildkit_would_have_refreshed_a_blob() {
    assert_eq!(S3::new(Environment::new()).facts().grace.as_secs(), 25 * 3600);
}
