//! Every public future can be passed to `tokio::spawn`: the test is that this compiles.

use cache_core::{CacheBackend as _, CacheExporter as _, CacheManifest, CacheSpec, Expect};
use cache_memory::MemoryCache;

use crate::{Inline, InlineExporter};

fn spawns<F: Future + Send + 'static>(_: F) {}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn opening(backend: Inline, spec: CacheSpec) {
    spawns(async move { backend.publisher(&spec).await.map(drop) });
}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn working(from: MemoryCache, to: InlineExporter, cache: CacheManifest) {
    spawns(async move {
        for blob in cache.blobs() {
            to.push(blob, &from).await?;
        }
        to.commit(&cache, Expect::Any).await
    });
}
