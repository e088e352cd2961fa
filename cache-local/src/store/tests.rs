//! Listing and deleting.

use std::fs;
use std::path::Path;

use cache_core::{Descriptor, Digest, Expect};
use futures_util::TryStreamExt;

use super::*;
use crate::tests::{age, blob_path, copy_of, files, fixture, fixture_index, ingests, layer, try_write, write};

fn store(root: impl AsRef<Path>) -> LocalStore {
    LocalStore::new(LocalConfig::new(root.as_ref()))
}

async fn listed(root: &Path) -> Vec<CacheEntry> {
    store(root).caches().await.unwrap()
}

async fn blobs(root: &Path) -> Vec<BlobEntry> {
    store(root).blobs().try_collect().await.unwrap()
}

#[tokio::test]
async fn caches_are_listed_by_name() {
    let caches = listed(&fixture("v0.20/generations")).await;
    let names: Vec<_> = caches.iter().map(|cache| cache.name.as_deref()).collect();
    assert_eq!(names, [Some("latest"), Some("release")]);
    for cache in &caches {
        let descriptor = cache.descriptor.as_ref().unwrap();
        assert_eq!(cache.version.as_str(), descriptor.digest.to_string());
        assert!(cache.modified.is_some());
    }
}

#[tokio::test]
async fn an_entry_without_a_tag_has_no_name() {
    let caches = listed(&fixture("v0.32/inline-multi")).await;
    assert_eq!((caches.len(), caches[0].name.as_deref()), (1, None));
    let importer = store(fixture("v0.32/inline-multi")).open(&caches[0]).await.unwrap();
    assert!(importer.resolve().await.unwrap().is_some());
}

#[tokio::test]
async fn a_listed_cache_is_opened_even_when_its_name_moved() {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(dir.path());
    write(config.clone(), "a").await;
    let caches = listed(dir.path()).await;
    write(config, "b").await;
    let resolved = store(dir.path()).open(&caches[0]).await.unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(resolved.manifest.blobs()[0].digest, layer("a").digest);
}

#[tokio::test]
async fn a_listed_cache_without_its_manifest_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write(LocalConfig::new(dir.path()), "a").await.descriptor.unwrap();
    fs::remove_file(blob_path(dir.path(), &manifest.digest)).unwrap();
    let caches = listed(dir.path()).await;
    assert_eq!(caches[0].modified, None);
    let importer = store(dir.path()).open(&caches[0]).await.unwrap();
    assert_eq!(importer.resolve().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.json");
    fs::write(&path, "{\"manifests\":[{\"digest\":\"blake3:0\"}]}").unwrap();
    let caches = listed(dir.path()).await;
    assert_eq!((caches.len(), &caches[0].descriptor), (1, &None));
    let error = store(dir.path()).open(&caches[0]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert_eq!(store(dir.path()).delete_cache(&caches[0]).await.unwrap(), Deleted::Removed);
    assert!(listed(dir.path()).await.is_empty());
}

#[tokio::test]
async fn a_missing_directory_is_an_empty_store_and_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(listed(&missing).await.is_empty());
    assert!(blobs(&missing).await.is_empty());
    let listed_elsewhere = listed(&fixture("v0.32/max-manifest")).await;
    assert_eq!(store(&missing).delete_cache(&listed_elsewhere[0]).await.unwrap(), Deleted::Absent);
    assert!(!missing.exists());
}

#[tokio::test]
async fn blobs_are_the_files_at_places_of_digests() {
    let dir = copy_of("v0.32/max-manifest");
    let expected = files(&dir.path().join("blobs"));
    let junk = dir.path().join("blobs/sha256");
    fs::write(junk.join("README"), "").unwrap();
    fs::create_dir(junk.join(Digest::sha256(b"a directory").hex())).unwrap();
    fs::create_dir(dir.path().join("blobs/md5")).unwrap();
    fs::write(dir.path().join("blobs/file"), "").unwrap();
    let mut found: Vec<_> =
        blobs(dir.path()).await.iter().map(|blob| blob.digest.to_string().replace(':', "/")).collect();
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn more_blobs_than_a_batch_are_all_listed() {
    let dir = tempfile::tempdir().unwrap();
    let blobs_dir = dir.path().join("blobs/sha256");
    fs::create_dir_all(&blobs_dir).unwrap();
    for n in 0..BATCH * 2 + 1 {
        fs::write(blobs_dir.join(Digest::sha256(&n.to_le_bytes()).hex()), "").unwrap();
    }
    assert_eq!(blobs(dir.path()).await.len(), BATCH * 2 + 1);
}

#[tokio::test]
async fn a_deleted_cache_leaves_the_others_and_its_blobs() {
    let dir = copy_of("v0.32/generations");
    let caches = listed(dir.path()).await;
    let before = files(&dir.path().join("blobs"));
    assert_eq!(store(dir.path()).delete_cache(&caches[0]).await.unwrap(), Deleted::Removed);
    assert_eq!(store(dir.path()).delete_cache(&caches[0]).await.unwrap(), Deleted::Absent);
    let names: Vec<_> = listed(dir.path()).await.into_iter().map(|cache| cache.name).collect();
    assert_eq!(names, [Some("release".to_owned())]);
    assert_eq!(files(&dir.path().join("blobs")), before);
    assert_eq!(ingests(dir.path()), [""; 0]);
}

#[tokio::test]
async fn an_image_and_a_cache_of_one_tag_are_listed_apart_and_deleted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(dir.path());
    let cache = write(config.clone(), "cache").await.descriptor.unwrap();
    let image = write(config.clone().with_tag("image"), "image").await.descriptor.unwrap();
    let tagged = |manifest: Descriptor| manifest.with_annotation("org.opencontainers.image.ref.name", "latest");
    let image = tagged(image).with_annotation("io.containerd.image.name", "docker.io/library/i:latest");
    let entries = [image.clone(), tagged(cache.clone())];
    let path = dir.path().join("index.json");
    fs::write(&path, serde_json::json!({"schemaVersion": 2, "manifests": entries}).to_string()).unwrap();
    let caches = listed(dir.path()).await;
    let found: Vec<_> = caches.iter().map(|cache| (cache.name.as_deref(), cache.version.as_str().to_owned())).collect();
    assert_eq!(found, [(None, cache.digest.to_string()), (Some("latest"), image.digest.to_string())]);

    let error = try_write(config.clone(), "other", Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.context("tag")), (ErrorKind::Unsupported, Some("latest")));
    assert!(!blob_path(dir.path(), &layer("other").digest).exists());

    // Once the image is gone, the tag leads to the cache, which was listed without a name.
    assert_eq!(store(dir.path()).delete_cache(&caches[1]).await.unwrap(), Deleted::Removed);
    let error = store(dir.path()).delete_cache(&caches[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.context("tag")), (ErrorKind::Conflict, Some("latest")));
    let names: Vec<_> = listed(dir.path()).await.into_iter().map(|cache| cache.name).collect();
    assert_eq!(names, [Some("latest".to_owned())]);
}

#[tokio::test]
async fn a_cache_that_moved_is_not_deleted() {
    let dir = copy_of("v0.32/max-manifest");
    let caches = listed(dir.path()).await;
    write(LocalConfig::new(dir.path()), "a").await;
    let error = store(dir.path()).delete_cache(&caches[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.context("tag")), (ErrorKind::Conflict, Some("latest")));
    assert_eq!(listed(dir.path()).await.len(), 1);
}

#[tokio::test]
async fn a_deletion_that_finds_nothing_leaves_the_index_as_it_is() {
    let dir = copy_of("v0.12/max-manifest");
    let mut cache = listed(dir.path()).await.remove(0);
    cache.name = Some("nobody".to_owned());
    assert_eq!(store(dir.path()).delete_cache(&cache).await.unwrap(), Deleted::Absent);
    assert_eq!(fs::read_to_string(dir.path().join("index.json")).unwrap(), fixture_index("v0.12/max-manifest"));
}

#[tokio::test]
async fn a_blob_is_deleted_unless_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    write(LocalConfig::new(dir.path()), "a").await;
    let path = blob_path(dir.path(), &layer("a").digest);
    let found = blobs(dir.path()).await;
    let blob = found.iter().find(|blob| blob.digest == layer("a").digest).unwrap();
    age(&path, std::time::Duration::from_secs(5));
    let error = store(dir.path()).delete_blob(blob).await.unwrap_err();
    assert_eq!((error.kind(), error.context("blob")), (ErrorKind::Conflict, Some(blob.digest.to_string().as_str())));
    let found = blobs(dir.path()).await;
    let blob = found.iter().find(|blob| blob.digest == layer("a").digest).unwrap();
    assert_eq!(store(dir.path()).delete_blob(blob).await.unwrap(), Deleted::Removed);
    assert_eq!(store(dir.path()).delete_blob(blob).await.unwrap(), Deleted::Absent);
    assert!(!path.exists());
}
