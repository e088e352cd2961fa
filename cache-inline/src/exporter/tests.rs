//! Images in memory: nested indexes, what stays, what conflicts.

use std::collections::BTreeMap;

use cache_core::json::JsonObject;
use cache_core::seams::BlobEntry;
use cache_core::{
    CacheChains, CacheImporter as _, CacheKey, CacheResult, CacheStore as _, Digest, Error, MediaType, Timestamp,
    annotation,
};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use serde::Serialize;

use super::*;

/// An image with the layers `names`, and its manifest's descriptor.
async fn image(store: &MemoryCache, names: &[&str]) -> Descriptor {
    let layers: Vec<Descriptor> = names.iter().map(|name| layer(name)).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let mut config = JsonObject::default();
    config.set("rootfs", &BTreeMap::from([("diff_ids", diff_ids)]));
    manifest(store, &Document::new(MediaType::OCI_CONFIG, config.encode()), &layers).await
}

async fn manifest(store: &MemoryCache, config: &Document, layers: &[Descriptor]) -> Descriptor {
    store.put(config).await.unwrap();
    let mut manifest = JsonObject::default();
    manifest.set("config", &config.descriptor);
    manifest.set("layers", &layers);
    put(store, MediaType::OCI_MANIFEST, &manifest).await
}

async fn index(store: &MemoryCache, manifests: &[impl Serialize]) -> Descriptor {
    let mut index = JsonObject::default();
    index.set("manifests", &manifests);
    put(store, MediaType::OCI_INDEX, &index).await
}

async fn put(store: &MemoryCache, media_type: MediaType, json: &JsonObject) -> Descriptor {
    let document = Document::new(media_type, json.encode());
    store.put(&document).await.unwrap();
    document.descriptor
}

async fn tag(store: &MemoryCache, root: &Descriptor) {
    let bytes = cache_core::read_all(store, root, 1 << 20).await.unwrap();
    store.put_root(&Document { descriptor: root.clone(), bytes }, Expect::Any).await.unwrap();
}

fn layer(name: &str) -> Descriptor {
    let layer = Descriptor::of(MediaType::OCI_LAYER, name.as_bytes());
    let diff_id = layer.digest;
    layer.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

/// A cache with one result of one layer for each name.
fn cache(names: &[&str]) -> CacheManifest {
    let mut chains = CacheChains::new();
    for name in names {
        let result = CacheResult::new("2026-11-23T07:40:36Z".parse::<Timestamp>().unwrap(), vec![layer(name)]);
        chains.add(CacheKey::content(Digest::sha256(name.as_bytes())), &[], vec![result]).unwrap();
    }
    chains.to_manifest()
}

async fn embed_in(store: &MemoryCache, cache: &CacheManifest) -> Result<Committed> {
    let exporter = InlineExporter::new(Box::new(store.clone()));
    export(cache, &MemoryCache::new(), &exporter, &ExportSettings::default()).await.map(|report| report.committed)
}

async fn images_with_records(store: &MemoryCache) -> usize {
    store.resolve().await.unwrap().map_or(0, |found| found.manifest.inline_images().len())
}

async fn blobs(store: &MemoryCache) -> usize {
    use futures_util::StreamExt;
    store.blobs().filter_map(async |blob: Result<BlobEntry, Error>| blob.ok()).count().await
}

#[tokio::test]
async fn every_image_below_nested_indexes_gets_its_own_records() {
    let store = MemoryCache::new();
    let (a, b) = (image(&store, &["a"]).await, image(&store, &["b", "c"]).await);
    let inner = index(&store, &[&b, &a]).await;
    let root = index(&store, &[&a, &inner]).await;
    tag(&store, &root).await;
    let committed = embed_in(&store, &cache(&["a", "b"])).await.unwrap();
    assert_eq!(committed.coverage, Some(Coverage { covered: 2, layers: 3 }));
    assert_ne!(committed.descriptor.map(|root| root.digest), Some(root.digest));
    let found = store.resolve().await.unwrap().unwrap().manifest;
    assert_eq!(found.inline_images().iter().map(|image| image.layers).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn an_image_in_two_indexes_changes_in_both() {
    let store = MemoryCache::new();
    let a = image(&store, &["a"]).await;
    let inner = index(&store, &[&a]).await;
    for order in [[&inner, &a], [&a, &inner]] {
        tag(&store, &index(&store, &order).await).await;
        embed_in(&store, &cache(&["a"])).await.unwrap();
        let (root, _) = store.root().await.unwrap().unwrap();
        let text = String::from_utf8(root.bytes.to_vec()).unwrap();
        assert!(!text.contains(&a.digest.to_string()) && !text.contains(&inner.digest.to_string()), "{text}");
    }
}

#[tokio::test]
async fn attestations_missing_platforms_and_artefacts_stay() {
    let store = MemoryCache::new();
    let fits = image(&store, &["a"]).await;
    let attestation =
        image(&store, &["a", "a"]).await.with_annotation("vnd.docker.reference.type", "attestation-manifest");
    let missing = Descriptor::of(MediaType::OCI_MANIFEST, b"not pulled");
    let artefact = manifest(&store, &Document::new(MediaType::from("application/x"), "no JSON"), &[layer("a")]).await;
    let no_layers = image(&store, &[]).await;
    let others = [&attestation, &missing, &artefact, &no_layers];
    tag(&store, &index(&store, &[&[&fits], &others[..]].concat()).await).await;
    let committed = embed_in(&store, &cache(&["a"])).await.unwrap();
    assert_eq!(committed.coverage, Some(Coverage { covered: 1, layers: 1 }));
    let (root, _) = store.root().await.unwrap().unwrap();
    let entries: Vec<Descriptor> = JsonObject::decode(&root.bytes).unwrap().field("manifests").unwrap().unwrap();
    assert_ne!(entries[0].digest, fits.digest);
    assert_eq!(entries[1..].iter().collect::<Vec<_>>(), others);
}

#[tokio::test]
async fn layers_of_the_image_are_present_and_others_unneeded() {
    let store = MemoryCache::new();
    tag(&store, &image(&store, &["a"]).await).await;
    let exporter = InlineExporter::new(Box::new(store.clone()));
    let before = blobs(&store).await;
    let nowhere = MemoryCache::new();
    assert_eq!(exporter.push(&layer("a"), &nowhere).await.unwrap(), Pushed::Present);
    assert_eq!(exporter.push(&layer("b"), &nowhere).await.unwrap(), Pushed::Unneeded);
    assert_eq!(blobs(&store).await, before);
}

#[tokio::test]
async fn embedding_twice_changes_the_image_once() {
    let store = MemoryCache::new();
    tag(&store, &image(&store, &["a"]).await).await;
    let once = embed_in(&store, &cache(&["a"])).await.unwrap();
    let before = blobs(&store).await;
    assert_eq!(embed_in(&store, &cache(&["a"])).await.unwrap(), once);
    assert_eq!(blobs(&store).await, before);
}

#[tokio::test]
async fn an_image_that_was_pushed_meanwhile_is_not_replaced() {
    let store = MemoryCache::new();
    tag(&store, &image(&store, &["a"]).await).await;
    let exporter = InlineExporter::new(Box::new(store.clone()));
    exporter.push(&layer("a"), &MemoryCache::new()).await.unwrap();
    let theirs = image(&store, &["a", "b"]).await;
    tag(&store, &theirs).await;
    let lost = exporter.commit(&cache(&["a"]), Expect::Any).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict);
    assert_eq!(store.root().await.unwrap().unwrap().0.descriptor, theirs);
}

#[tokio::test]
async fn a_cache_that_fits_no_platform_is_an_error_and_nothing_is_written() {
    let store = MemoryCache::new();
    tag(&store, &image(&store, &["a"]).await).await;
    let before = blobs(&store).await;
    for cache in [cache(&["b"]), CacheChains::new().to_manifest()] {
        let error = embed_in(&store, &cache).await.unwrap_err();
        assert!(error.to_string().contains("failed to match any cache with layers"), "{error}");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!((blobs(&store).await, images_with_records(&store).await), (before, 0));
}

#[tokio::test]
async fn an_index_without_end_is_refused() {
    let store = MemoryCache::new();
    let mut entries = Vec::new();
    for n in 0..20 {
        entries.push(image(&store, &[&n.to_string()]).await);
    }
    tag(&store, &index(&store, &entries).await).await;
    let mut limits = Limits::default();
    limits.images = 10;
    let exporter = InlineExporter::new(Box::new(store.clone())).with_limits(limits);
    let error = exporter.commit(&cache(&["1"]), Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}
