//! Every public future can be given to `tokio::spawn`: this compiles, or it does not.

#![expect(dead_code, reason = "what the compiler accepts need not run")]

use std::sync::Arc;

use cache_core::kit::{PartLimits, PartUpload, upload};
use cache_core::layers::{diff_id, restore_annotations};
use cache_core::model::{LayerEncoding, Limits};
use cache_core::{
    BlobProvider, BlobStream, CacheChains, CodecPool, Descriptor, Mode, Progress, RetryPolicy, load, read_all,
    read_verified,
};

fn spawns<F: Future + Send + 'static>(_: F) {}

fn reading(blobs: Arc<dyn BlobProvider>, blob: Descriptor) {
    let (from, what) = (Arc::clone(&blobs), blob.clone());
    spawns(async move { read_verified(&*from, &what).await });
    let (from, what) = (Arc::clone(&blobs), blob.clone());
    spawns(async move { read_all(&*from, &what, 1).await });
    let (from, what) = (Arc::clone(&blobs), blob);
    spawns(async move { restore_annotations(&what, &*from).await });
    spawns(async move { load(bytes::Bytes::new(), &*blobs, &Limits::default()).await });
}

fn graphs(mut chains: CacheChains) {
    spawns(async move { chains.select(Mode::Min).await });
}

fn backends(stream: BlobStream, to: Arc<dyn PartUpload>, progress: Arc<dyn Progress>) {
    spawns(async move { upload(stream, 1, &*to, &PartLimits::default()).await });
    spawns(async move { RetryPolicy::default().run(&*progress, || async { Ok(()) }).await });
}

fn layers(blob: Descriptor, stream: BlobStream, pool: CodecPool) {
    spawns(async move { diff_id(&blob, LayerEncoding::Gzip, stream, &pool).await });
}

#[cfg(feature = "estargz")]
fn estargz(blobs: Arc<dyn BlobProvider>, blob: Descriptor) {
    let (from, what) = (Arc::clone(&blobs), blob.clone());
    spawns(async move { cache_core::layers::estargz::open(&*from, &what).await });
    spawns(async move { cache_core::layers::estargz::annotations(&*blobs, &blob).await });
}

#[cfg(feature = "layer")]
fn directories(dir: cache_core::layers::LayerDir, tar: BlobStream) {
    spawns(async move { dir.add(tar).await });
}
