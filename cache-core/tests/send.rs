//! Every public future can be passed to `tokio::spawn`: the test is that this compiles.

#![expect(dead_code, reason = "what the compiler accepts need not run")]

use std::sync::Arc;

use cache_core::model::Limits;
use cache_core::{BlobProvider, CacheChains, Descriptor, Mode, load, read_all, read_verified};

fn spawns<F: Future + Send + 'static>(_: F) {}

fn reading(blobs: Arc<dyn BlobProvider>, blob: Descriptor) {
    let (from, what) = (Arc::clone(&blobs), blob.clone());
    spawns(async move { read_verified(&*from, &what).await });
    let (from, what) = (Arc::clone(&blobs), blob);
    spawns(async move { read_all(&*from, &what, 1).await });
    spawns(async move { load(bytes::Bytes::new(), &*blobs, &Limits::default()).await });
}

fn graphs(mut chains: CacheChains) {
    spawns(async move { chains.select(Mode::Min).await });
}
