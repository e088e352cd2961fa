//! Directories that are there, are not there, and cannot be written.

use cache_core::{Descriptor, MediaType, annotation};
use tempfile::TempDir;

use super::*;

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// An `index.json` with an image that containerd has named.
fn index_of_image(tag: &str) -> String {
    let image = Descriptor::of(MediaType::OCI_MANIFEST, b"image").with_annotation(annotation::REF_NAME, tag);
    let named = image.with_annotation("io.containerd.image.name", format!("docker.io/library/i:{tag}"));
    serde_json::json!({ "manifests": [named] }).to_string()
}

#[test]
fn a_missing_directory_is_missing_afterwards() {
    let temp = TempDir::new().unwrap();
    let found = examine(&LocalConfig::new(temp.path().join("a/b")).with_tag("main"));
    assert!(found.checks.iter().all(cache_core::seams::Check::works), "{found:?}");
    let spec = found.recommended.unwrap().to_string();
    assert_eq!(spec, format!("type=local,dest={},tag=main", temp.path().join("a/b").display()));
    assert!(files(temp.path()).is_empty());
}

#[test]
fn an_existing_directory_stays() {
    let temp = TempDir::new().unwrap();
    fs::create_dir_all(temp.path().join("blobs/sha256")).unwrap();
    let found = examine(&LocalConfig::new(temp.path()));
    assert!(found.recommended.is_some(), "{found:?}");
    assert!(temp.path().join("blobs/sha256").is_dir() && !temp.path().join("index.json.lock").exists());
    assert!(files(&temp.path().join("blobs/sha256")).is_empty());
}

#[test]
fn a_lock_of_another_process_is_no_refusal() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("index.json.lock");
    let root = Dir::open(temp.path()).unwrap();
    let Attempt::Locked(_held) = try_lock(&root, INDEX_LOCK).unwrap() else { unreachable!("nobody else is here") };
    let found = examine(&LocalConfig::new(temp.path()));
    assert!(!found.works("lock") && found.recommended.is_some(), "{found:?}");
    assert!(path.exists(), "the lock of somebody else stays");
}

#[test]
fn nothing_is_recommended_where_no_cache_can_be_written() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    let found = examine(&LocalConfig::new(temp.path().join("file")));
    assert!(found.recommended.is_none() && !found.works("directory"), "{found:?}");
    fs::write(temp.path().join("index.json"), "{").unwrap();
    let found = examine(&LocalConfig::new(temp.path()));
    assert!(found.recommended.is_none() && !found.works("index"), "{found:?}");
    fs::write(temp.path().join("index.json"), index_of_image("main")).unwrap();
    assert!(examine(&LocalConfig::new(temp.path())).recommended.is_some());
    let found = examine(&LocalConfig::new(temp.path()).with_tag("main"));
    assert!(found.recommended.is_none() && !found.works("index"), "{found:?}");
    fs::write(temp.path().join("blobs"), "").unwrap();
    assert!(!examine(&LocalConfig::new(temp.path())).works("blob"));
}
