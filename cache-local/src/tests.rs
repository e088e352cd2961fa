//! Shared by the tests: caches that BuildKit wrote, small caches of our own, and functions that list a directory.

use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::{Duration, SystemTime};

use cache_core::seams::{CacheProbe as _, Committed};
use cache_core::{
    CacheBackend as _, CacheChains, CacheExporter as _, CacheImporter as _, CacheKey, CacheManifest, CacheResult,
    CacheSpec, CacheStore as _, Descriptor, Digest, Expect, MediaType, Result, Timestamp,
};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};

use crate::{Local, LocalConfig, LocalExporter, LocalImporter, LocalProbe, LocalStore};

/// A cache that BuildKit wrote, like `v0.32/max-manifest`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/local").join(name)
}

/// The content of a fixture's `index.json`.
pub(crate) fn fixture_index(name: &str) -> String {
    fs::read_to_string(fixture(name).join("index.json")).unwrap()
}

/// A copy of a fixture that a test may change.
pub(crate) fn copy_of(name: &str) -> tempfile::TempDir {
    let (from, to) = (fixture(name), tempfile::tempdir().unwrap());
    for path in files(&from) {
        let target = to.path().join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&path), target).unwrap();
    }
    to
}

/// Every file below `root`, by its path there, in order.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => todo.push(path),
                false => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().replace(MAIN_SEPARATOR, "/")),
            }
        }
    }
    found.sort();
    found
}

/// The files in `ingest/`.
pub(crate) fn ingests(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("ingest"));
    let mut names: Vec<String> =
        entries.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A cache with one record and one layer, and the store that has the layer.
pub(crate) fn cache(layer: &str) -> (CacheManifest, MemoryCache) {
    let blobs = MemoryCache::new();
    let digest = blobs.insert(layer.to_owned());
    let descriptor = Descriptor::of(MediaType::OCI_LAYER, layer.as_bytes())
        .with_annotation(cache_core::annotation::UNCOMPRESSED, digest);
    let mut chains = CacheChains::new();
    let key = CacheKey::content(Digest::sha256(format!("made of {layer}").as_bytes()));
    chains.add(key, &[], vec![CacheResult::new(Timestamp::ZERO, vec![descriptor])]).unwrap();
    (chains.to_manifest(), blobs)
}

/// The descriptor of a layer with this content.
pub(crate) fn layer(content: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
}

/// Exports the cache of one layer.
pub(crate) async fn write(config: LocalConfig, layer: &str) -> Committed {
    try_write(config, layer, Expect::Any).await.unwrap()
}

/// Exports the cache of one layer on a condition.
pub(crate) async fn try_write(config: LocalConfig, layer: &str, expect: Expect) -> Result<Committed> {
    let (manifest, blobs) = cache(layer);
    let exporter = LocalExporter::new(config);
    let settings = ExportSettings::default().with_expect(expect);
    export(&manifest, &blobs, &exporter, &settings).await.map(|report| report.committed)
}

pub(crate) fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm()).join(digest.hex())
}

/// Makes a file look as if it was written that long ago.
pub(crate) fn age(path: &Path, by: Duration) {
    let file = fs::File::options().read(true).write(cfg!(windows)).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

/// Makes every blob look as if it was written an hour ago.
pub(crate) fn age_blobs(root: &Path) {
    for path in files(&root.join("blobs")) {
        age(&root.join("blobs").join(path), Duration::from_secs(3600));
    }
}

#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Every public future can be passed to `tokio::spawn`: the test is that this compiles.
fn spawns<F: Future + Send + 'static>(_: F) {}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn opening(backend: Local, spec: CacheSpec) {
    spawns(async move {
        backend.publisher(&spec).await?;
        backend.store(&spec).await?;
        backend.probe(&spec).await.map(drop)
    });
}

#[expect(dead_code, reason = "what the compiler accepts need not run")]
fn working(from: LocalImporter, to: LocalExporter, store: LocalStore, probe: LocalProbe, cache: CacheManifest) {
    spawns(async move {
        from.resolve().await?;
        for blob in cache.blobs() {
            to.push(blob, &from).await?;
        }
        to.commit(&cache, Expect::Any).await?;
        store.caches().await?;
        probe.diagnose().await.map(drop)
    });
}
