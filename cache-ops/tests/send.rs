//! Every verb can be passed to `tokio::spawn`: the test is that this compiles.

#![expect(dead_code, reason = "what the compiler accepts need not run")]

use std::sync::Arc;

use cache_core::seams::CacheEntry;
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, CacheStore, Descriptor, Timestamp,
};
use cache_ops::{
    CopyOptions, Depth, Destination, ExportSettings, PrunePlan, PrunePolicy, PruneSettings, PublishSettings, Reach,
    RepairOptions, copy, copy_manifest, copy_many, examine_layer, export, plan_prune, prune, publish, repair, verify,
};

fn spawns<F: Future + Send + 'static>(_: F) {}

fn writing(
    from: Arc<dyn CacheImporter>,
    blobs: Arc<dyn BlobProvider>,
    to: Arc<dyn CacheExporter>,
    cache: CacheManifest,
) {
    let (source, place) = (Arc::clone(&from), Arc::clone(&to));
    spawns(async move { copy(&*source, &*place, CopyOptions::default(), &ExportSettings::default()).await });
    let (source, place, manifest) = (Arc::clone(&blobs), Arc::clone(&to), cache.clone());
    spawns(async move {
        copy_manifest(manifest, &*source, &*place, CopyOptions::default(), &ExportSettings::default()).await
    });
    let (source, place, manifest) = (Arc::clone(&blobs), Arc::clone(&to), cache.clone());
    spawns(async move { copy_many(&manifest, &*source, &[Destination::new(&*place)]).await });
    let (source, place) = (Arc::clone(&blobs), Arc::clone(&to));
    spawns(async move { export(&cache, &*source, &*place, &ExportSettings::default()).await });
    let chains = CacheChains::new();
    spawns(async move { publish(&chains, &*blobs, &*from, &*to, &PublishSettings::default()).await });
}

fn reading(blobs: Arc<dyn BlobProvider>, blob: Descriptor, cache: CacheManifest) {
    let (source, manifest) = (Arc::clone(&blobs), cache.clone());
    spawns(async move { verify(&manifest, &*source, Depth::Deep, 1).await });
    let (source, manifest) = (Arc::clone(&blobs), cache.clone());
    spawns(async move { repair(&manifest, &*source, RepairOptions::default()).await });
    let source = Arc::clone(&blobs);
    spawns(async move { Reach::of_manifest(&cache, &*source).await });
    spawns(async move { examine_layer(&blob, &*blobs).await });
}

fn deleting(store: Arc<dyn CacheStore>, entry: CacheEntry, plan: PrunePlan) {
    let of = Arc::clone(&store);
    spawns(async move { Reach::of_entry(&*of, &entry).await });
    let of = Arc::clone(&store);
    spawns(async move {
        plan_prune(&*of, &PrunePolicy::new(std::time::Duration::ZERO), Timestamp::ZERO, &PruneSettings::default()).await
    });
    spawns(async move { prune(&*store, &plan, &PruneSettings::default()).await });
}
