//! Every public future can be passed to `tokio::spawn`: the test is that this compiles.

use cache_core::seams::CacheProbe as _;
use cache_core::{
    CacheBackend as _, CacheExporter as _, CacheImporter as _, CacheManifest, CacheSpec, CacheStore as _, Expect,
};

use crate::{Registry, RegistryExporter, RegistryImporter, RegistryProbe, RegistryStore};

fn spawns<F: Future + Send + 'static>(_: F) {}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn opening(backend: Registry, spec: CacheSpec) {
    spawns(async move {
        backend.publisher(&spec).await?;
        backend.store(&spec).await?;
        backend.probe(&spec).await.map(drop)
    });
}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn working(
    from: RegistryImporter,
    to: RegistryExporter,
    store: RegistryStore,
    probe: RegistryProbe,
    cache: CacheManifest,
) {
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
