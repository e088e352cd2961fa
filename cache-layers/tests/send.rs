//! Every public future can be passed to `tokio::spawn`: the test is that this compiles.

#![expect(dead_code, reason = "what the compiler accepts need not run")]

use std::sync::Arc;

use cache_core::model::LayerEncoding;
use cache_core::{BlobProvider, BlobStream, Descriptor};
use cache_layers::{CodecPool, diff_id, restore_annotations};

fn spawns<F: Future + Send + 'static>(_: F) {}

fn reading(blobs: Arc<dyn BlobProvider>, blob: Descriptor) {
    spawns(async move { restore_annotations(&blob, &*blobs).await });
}

fn layers(blob: Descriptor, stream: BlobStream, pool: CodecPool) {
    spawns(async move { diff_id(&blob, LayerEncoding::Gzip, stream, &pool).await });
}

#[cfg(feature = "estargz")]
fn estargz(blobs: Arc<dyn BlobProvider>, blob: Descriptor) {
    let (from, what) = (Arc::clone(&blobs), blob.clone());
    spawns(async move { cache_layers::estargz::open(&*from, &what).await });
    spawns(async move { cache_layers::estargz::annotations(&*blobs, &blob).await });
}

#[cfg(feature = "layer")]
fn directories(dir: cache_layers::LayerDir, tar: BlobStream) {
    spawns(async move { dir.add(tar).await });
}
