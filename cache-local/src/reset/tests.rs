//! What `reset` deletes, and when it keeps its hands off.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cache_core::{CacheExporter, CacheImporter as _, Descriptor, Expect};

use super::*;
use crate::ingest::Ingest;
use crate::tests::{age_blobs, blob_path, cache, files, layer, write};
use crate::{LocalConfig, LocalExporter};

/// A directory whose tag `latest` was written twice, an hour ago, and a tag `other`.
async fn two_generations() -> (tempfile::TempDir, LocalConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(dir.path());
    write(config.clone(), "older").await;
    write(config.clone(), "newer").await;
    write(config.clone().with_tag("other"), "other").await;
    age_blobs(dir.path());
    (dir, config.with_reset(true))
}

fn has(root: &Path, content: &str) -> bool {
    blob_path(root, &layer(content).digest).exists()
}

#[tokio::test]
async fn unreachable_blobs_are_deleted() {
    let (dir, config) = two_generations().await;
    write(config, "newest").await;
    let layers = ["older", "newer", "other", "newest"].map(|content| has(dir.path(), content));
    assert_eq!(layers, [false, false, true, true]);
    // A layer, a config and a manifest for each of the two tags.
    assert_eq!(files(&dir.path().join("blobs")).len(), 6);
}

#[tokio::test]
async fn without_reset_everything_stays() {
    let (dir, config) = two_generations().await;
    write(config.with_reset(false), "newest").await;
    assert!(has(dir.path(), "older"));
}

#[tokio::test]
async fn young_blobs_stay() {
    let (dir, config) = two_generations().await;
    let young = layer("young").digest;
    let exporter = LocalExporter::new(config);
    let (manifest, blobs) = cache("newest");
    exporter.push(&layer("newest"), &blobs).await.unwrap();
    fs::write(blob_path(dir.path(), &young), "young").unwrap();
    exporter.commit(&manifest, Expect::Any).await.unwrap();
    assert!(has(dir.path(), "young") && !has(dir.path(), "older"));
}

#[tokio::test]
async fn nothing_is_deleted_during_another_write() {
    let (dir, config) = two_generations().await;
    let other = Ingest::open(&Layout::new(dir.path())).unwrap();
    write(config.clone(), "newest").await;
    assert!(has(dir.path(), "older"));
    drop(other);
    write(config, "newest").await;
    assert!(!has(dir.path(), "older"));
}

#[tokio::test]
async fn nothing_is_deleted_when_an_entry_cannot_be_followed() {
    for broken in ["{\"digest\":\"blake3:0\"}".to_owned(), {
        let gone = layer("nobody has this").digest;
        format!("{{\"mediaType\":\"x\",\"digest\":\"{gone}\",\"size\":1}}")
    }] {
        let (dir, config) = two_generations().await;
        let path = dir.path().join("index.json");
        let index = fs::read_to_string(&path).unwrap();
        fs::write(&path, index.replace("\"manifests\":[", &format!("\"manifests\":[{broken},"))).unwrap();
        write(config, "newest").await;
        assert!(has(dir.path(), "older"), "{broken}");
    }
}

#[tokio::test]
async fn nothing_is_deleted_when_a_manifest_does_not_match_its_digest() {
    let (dir, config) = two_generations().await;
    let resolved = crate::LocalImporter::new(config.clone().with_tag("other")).resolve().await.unwrap().unwrap();
    let manifest = resolved.manifest.raw_manifest().unwrap();
    let path = blob_path(dir.path(), &manifest.descriptor.digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, [&manifest.bytes, &b" "[..]].concat()).unwrap();
    write(config, "newest").await;
    assert!(has(dir.path(), "older"));
}

#[test]
fn every_digest_in_a_document_is_reached_and_manifests_are_followed() {
    let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let document = serde_json::json!({
        "config": {"mediaType": MediaType::OCI_CONFIG, "digest": digest(1)},
        "manifests": [
            {"MediaType": MediaType::OCI_MANIFEST, "Digest": digest(2)},
            {"digest": digest(3)},
            {"mediaType": MediaType::OCI_LAYER, "digest": digest(4), "annotations": {"own": digest(5)}},
        ],
        "subject": {"mediaType": MediaType::DOCKER_LIST, "digest": digest(6)},
    });
    let (mut reached, mut next) = (HashSet::new(), Vec::new());
    follow(&document, Kind::Manifest, &mut reached, &mut next);
    let of_kind = |kind| BTreeSet::from_iter(next.iter().filter(|next| next.1 == kind).map(|next| next.0.to_string()));
    assert_eq!(of_kind(Kind::Manifest), [2, 3, 6].map(digest).into());
    assert_eq!(of_kind(Kind::Unknown), [1].map(digest).into());
    assert_eq!(reached, (1..=6).map(|n| digest(n).parse().unwrap()).collect());
    next.clear();
    follow(&document, Kind::Unknown, &mut reached, &mut next);
    assert!(next.iter().all(|next| next.1 == Kind::Unknown));
}

#[tokio::test]
async fn an_image_keeps_its_layers_whatever_the_media_type_of_its_manifest() {
    let (dir, config) = two_generations().await;
    let index = fs::read(dir.path().join("index.json")).unwrap();
    let store = |bytes: &[u8]| {
        let stored = Descriptor::of(MediaType::from("application/json"), bytes);
        fs::write(blob_path(dir.path(), &stored.digest), bytes).unwrap();
        stored
    };
    // The index becomes a child of another one.
    let older = store(&[b"\n", &*index].concat());
    let top = store(&serde_json::to_vec(&serde_json::json!({ "manifests": [older] })).unwrap());
    let entry = serde_json::json!({"digest": top.digest, "size": top.size, "mediaType": MediaType::OCI_INDEX});
    fs::write(dir.path().join("index.json"), serde_json::json!({ "manifests": [entry] }).to_string()).unwrap();
    age_blobs(dir.path());
    write(config, "newest").await;
    let layers = ["older", "newer", "other", "newest"].map(|content| has(dir.path(), content));
    assert_eq!(layers, [false, true, true, true]);
}
