//! Caches that are found, and errors for missing ones.

use std::fs;

use cache_core::CacheSpec;
use cache_core::manifest::ManifestForm;
use cache_ops::Backends;
use futures_util::TryStreamExt;

use super::*;
use crate::tests::{blob_path, copy_of, files, fixture, write};
use crate::{KIND, Local};

fn importer(root: impl Into<std::path::PathBuf>) -> LocalImporter {
    LocalImporter::new(LocalConfig::new(root))
}

#[tokio::test]
async fn every_fixture_is_read_by_its_default() {
    let mut read = 0;
    for version in ["v0.8", "v0.12", "v0.20", "v0.32"] {
        for entry in fs::read_dir(fixture(version)).unwrap() {
            let path = entry.unwrap().path();
            let resolved = importer(&path).resolve().await.unwrap().expect("every fixture is a cache");
            assert!(!resolved.manifest.is_empty(), "{}", path.display());
            for blob in resolved.manifest.blobs() {
                let info = importer(&path).stat(blob).await.unwrap().expect("its blobs are there");
                assert_eq!(info.size, blob.size);
            }
            read += 1;
        }
    }
    assert!(read >= 35, "only {read} fixtures were found");
}

#[tokio::test]
async fn the_version_is_the_digest_of_the_tag() {
    let resolved = importer(fixture("v0.12/generations")).resolve().await.unwrap().unwrap();
    let latest = "sha256:06a2eda45406adf5c46b9b82f831a006cb8dd08e922c1f52f48b7e0b9c0b7985";
    assert_eq!(resolved.version.as_str(), latest);
    assert_eq!(resolved.manifest.form(), Some(ManifestForm::Index));
}

#[tokio::test]
async fn a_digest_takes_precedence_over_the_tag() {
    let root = fixture("v0.20/generations");
    let older = older_generation(&root);
    let config = LocalConfig::new(&root).with_tag("release").with_digest(older);
    let resolved = LocalImporter::new(config).resolve().await.unwrap().unwrap();
    assert_eq!(resolved.version.as_str(), older.to_string());
}

/// The manifest that has no tag any more.
fn older_generation(root: &std::path::Path) -> Digest {
    let index = fs::read_to_string(root.join("index.json")).unwrap();
    let is_manifest = |path: &&String| {
        let bytes = fs::read(root.join("blobs").join(path)).unwrap();
        bytes.starts_with(b"{\"schemaVersion\"")
    };
    let mut manifests = files(&root.join("blobs"));
    manifests.retain(|path| is_manifest(&path));
    let digests = manifests.iter().map(|path| path.replace('/', ":"));
    digests.filter(|digest| !index.contains(digest)).map(|digest| digest.parse().unwrap()).next().unwrap()
}

#[tokio::test]
async fn a_missing_cache_is_none_and_nothing_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(importer(&missing).resolve().await.unwrap().is_none());
    assert!(importer(dir.path()).resolve().await.unwrap().is_none());
    let digest = Digest::sha256(b"not there");
    let by_digest = LocalImporter::new(LocalConfig::new(&missing).with_digest(digest));
    assert!(by_digest.resolve().await.unwrap().is_none());
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());

    let by_tag = LocalImporter::new(LocalConfig::new(fixture("v0.32/max-manifest")).with_tag("other"));
    assert!(by_tag.resolve().await.unwrap().is_none());
}

#[tokio::test]
async fn an_import_leaves_no_trace() {
    let dir = copy_of("v0.32/max-manifest");
    let before = files(dir.path());
    importer(dir.path()).resolve().await.unwrap().unwrap();
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn the_only_entry_counts_without_a_tag_but_not_for_one() {
    let root = fixture("v0.32/inline-image");
    assert!(importer(&root).resolve().await.unwrap().is_some());
    let tagged = LocalImporter::new(LocalConfig::new(&root).with_tag("latest"));
    assert!(tagged.resolve().await.unwrap().is_none());
}

#[tokio::test]
async fn a_missing_manifest_is_an_error_with_digest_and_path() {
    let dir = copy_of("v0.32/max-manifest");
    let manifest: Digest = "sha256:53f8b421fa45e3e2e7e75e2e3ef9095228f66770227d50d8223ec8a4c960fb87".parse().unwrap();
    fs::remove_file(blob_path(dir.path(), &manifest)).unwrap();
    let error = importer(dir.path()).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.context("manifest"), Some(manifest.to_string().as_str()));
    assert!(error.context("path").unwrap().ends_with("index.json"));
}

#[tokio::test]
async fn a_manifest_with_other_bytes_is_an_error() {
    let dir = copy_of("v0.32/max-manifest");
    let manifest: Digest = "sha256:53f8b421fa45e3e2e7e75e2e3ef9095228f66770227d50d8223ec8a4c960fb87".parse().unwrap();
    let path = blob_path(dir.path(), &manifest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let error = importer(dir.path()).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("backend")), (ErrorKind::DigestMismatch, Some(KIND)));
}

#[tokio::test]
async fn a_blob_of_another_length_is_an_error_that_no_retry_helps() {
    let dir = copy_of("v0.32/max-manifest");
    let manifest = importer(dir.path()).resolve().await.unwrap().unwrap().manifest;
    let blob = &manifest.blobs()[0];
    for length in [0, blob.size - 1, blob.size + 1] {
        let path = blob_path(dir.path(), &blob.digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![0; usize::try_from(length).unwrap()]).unwrap();
        let error = importer(dir.path()).read(blob, None).await.err().expect("the length is wrong");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::DigestMismatch, false));
        assert_eq!(error.context("got"), Some(&*length.to_string()));
    }
}

#[tokio::test]
async fn an_entry_without_a_readable_digest_is_an_error_for_its_tag_alone() {
    let dir = copy_of("v0.32/max-manifest");
    let path = dir.path().join("index.json");
    let index = fs::read_to_string(&path).unwrap();
    let odd =
        "\"manifests\":[{\"digest\":\"blake3:0\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"odd\"}},";
    fs::write(&path, index.replace("\"manifests\":[", odd)).unwrap();
    let odd = LocalImporter::new(LocalConfig::new(dir.path()).with_tag("odd"));
    assert_eq!(odd.resolve().await.unwrap_err().kind(), ErrorKind::InvalidManifest);
    assert!(importer(dir.path()).resolve().await.unwrap().is_some());
}

#[tokio::test]
async fn an_empty_tag_without_a_digest_is_refused() {
    let empty = LocalImporter::new(LocalConfig::new(fixture("v0.32/max-manifest")).with_tag(""));
    assert_eq!(empty.resolve().await.unwrap_err().kind(), ErrorKind::InvalidSpec);
}

#[tokio::test]
async fn a_blob_is_read_whole_and_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let content: String = (0..200_000).map(|n| format!("{n:06}\n")).collect();
    write(LocalConfig::new(dir.path()), &content).await;
    let blob = crate::tests::layer(&content);
    let importer = importer(dir.path());
    for range in [None, Some(0..blob.size), Some(5..700_000), Some(700_000..700_001), Some(3..3), Some(10..u64::MAX)] {
        let pieces: Vec<bytes::Bytes> = importer.read(&blob, range.clone()).await.unwrap().try_collect().await.unwrap();
        let range = range.map_or(0..content.len(), |range| {
            usize::try_from(range.start).unwrap()..usize::try_from(range.end.min(blob.size)).unwrap()
        });
        assert!(pieces.concat() == content.as_bytes()[range]);
    }
}

#[tokio::test]
async fn a_missing_blob_is_none_or_not_found() {
    let importer = importer(fixture("v0.32/max-manifest"));
    let blob = crate::tests::layer("nobody has this");
    assert!(importer.stat(&blob).await.unwrap().is_none());
    let error = importer.read(&blob, None).await.err().unwrap();
    assert_eq!((error.kind(), error.context("backend")), (ErrorKind::NotFound, Some(KIND)));
}

#[tokio::test]
async fn a_file_in_place_of_the_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = importer(&file).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("backend")), (ErrorKind::Storage, Some(KIND)));
}

#[tokio::test]
async fn specs_open_through_the_backend() {
    let backends = Backends::new().with(Local);
    let spec = CacheSpec::new(KIND).with("src", fixture("v0.32/max-zstd").to_str().unwrap());
    let backend = backends.find(&spec).unwrap();
    assert!(backend.importer(&spec).await.unwrap().resolve().await.unwrap().is_some());
    assert_eq!(backend.store(&spec).await.unwrap().unwrap().caches().await.unwrap().len(), 1);
    assert!(backend.exporter(&spec).await.is_ok());
}
