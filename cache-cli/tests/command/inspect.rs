//! Compares `inspect -o json` of every cache of BuildKit with the snapshots in `tests/snapshots`.
//!
//! `UPDATE_SNAPSHOTS=1` updates them; check the difference before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/local")
}

fn sorted(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn inspect(spec: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_buildcache")).args(["inspect", "-o", "json", spec]).output().unwrap();
    assert!(output.status.success(), "{spec}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The default cache of every directory, and the other tags and digests in `index.json`.
fn specs() -> Vec<(String, String)> {
    let mut specs = Vec::new();
    for version in sorted(&root()) {
        for cache in sorted(&version) {
            let index = std::fs::read(cache.join("index.json")).unwrap();
            let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
            for (n, entry) in index["manifests"].as_array().unwrap().iter().enumerate() {
                let digest = entry["digest"].as_str().unwrap();
                let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
                let by = tag.map_or_else(|| format!("digest={digest}"), |tag| format!("tag={tag}"));
                let snapshot = format!("{}-{}-{n}.json", name(&version), name(&cache));
                specs.push((snapshot, format!("type=local,src={},{by}", cache.display())));
            }
        }
    }
    specs
}

#[test]
fn every_cache_inspects_as_its_snapshot_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let specs = specs();
    assert!(specs.len() > 35, "only {} caches", specs.len());
    for (snapshot, spec) in specs {
        let (path, found) = (folder.join(&snapshot), inspect(&spec));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found, expected, "{snapshot}; UPDATE_SNAPSHOTS=1 writes it anew");
    }
}

/// The only entry of an image layout needs no digest.
#[test]
fn an_image_with_one_untagged_entry_needs_no_digest() {
    for version in sorted(&root()) {
        for image in ["inline-image", "inline-multi"] {
            let found = inspect(&format!("type=local,src={}", version.join(image).display()));
            let snapshot = format!("tests/snapshots/{}-{image}-0.json", name(&version));
            let expected = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(snapshot)).unwrap();
            assert_eq!(found, expected);
        }
    }
}
