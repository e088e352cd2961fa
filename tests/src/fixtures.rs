//! The caches that real BuildKit has written, read without a backend.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::model::Limits;
use cache_core::seams::{BlobInfo, stream_of};
use cache_core::{BlobProvider, BlobStream, CacheManifest, Descriptor, Digest, Error, ErrorKind, Result, load};

/// A directory that BuildKit exported a cache to.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Its name, such as `v0.32/max-manifest`.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
}

/// The folder of fixtures.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All fixtures, in the order of their names.
#[must_use]
pub fn all() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for version in sorted_dirs(&root().join("local")) {
        for path in sorted_dirs(&version) {
            let name = format!("{}/{}", file_name(&version), file_name(&path));
            fixtures.push(Fixture { name, path });
        }
    }
    fixtures
}

/// The fixture with this name.
#[must_use]
pub fn named(name: &str) -> Fixture {
    Fixture { name: name.to_owned(), path: root().join("local").join(name) }
}

impl Fixture {
    /// The descriptors in `index.json`, each with its tag.
    #[must_use]
    pub fn entries(&self) -> Vec<(Option<String>, Descriptor)> {
        let index = std::fs::read(self.path.join("index.json")).expect("a fixture has an index.json");
        let index: serde_json::Value = serde_json::from_slice(&index).expect("BuildKit wrote it");
        let entries: Vec<Descriptor> =
            serde_json::from_value(index["manifests"].clone()).expect("entries are descriptors");
        let tag = |entry: &Descriptor| entry.annotations.get(cache_core::annotation::REF_NAME).cloned();
        entries.into_iter().map(|entry| (tag(&entry), entry)).collect()
    }

    /// All manifests of caches in the directory, older generations included.
    #[must_use]
    pub fn manifests(&self) -> BTreeMap<Digest, Bytes> {
        let is_cache = |bytes: &Bytes| {
            let text = String::from_utf8_lossy(bytes);
            text.starts_with('{') && text.contains("application/vnd.buildkit.cacheconfig.v0")
        };
        self.blobs().into_iter().filter(|(_, bytes)| is_cache(bytes)).collect()
    }

    /// Every blob in the directory.
    #[must_use]
    pub fn blobs(&self) -> BTreeMap<Digest, Bytes> {
        let folder = self.path.join("blobs/sha256");
        let files = std::fs::read_dir(&folder).expect("a fixture has blobs").map(|file| file.expect("readable").path());
        files.map(|file| (format!("sha256:{}", file_name(&file)).parse().expect("a digest"), read(&file))).collect()
    }

    /// Reads the cache that a document of this directory names.
    pub async fn load(&self, document: Bytes) -> CacheManifest {
        let manifest = load(document, self, &Limits::default()).await;
        manifest.unwrap_or_else(|error| panic!("{}: {error:?}", self.name)).expect("a cache")
    }

    /// The document with this digest.
    #[must_use]
    pub fn document(&self, digest: &Digest) -> Bytes {
        read(&self.path.join("blobs/sha256").join(digest.hex()))
    }
}

#[async_trait]
impl BlobProvider for Fixture {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let found = std::fs::metadata(self.path.join("blobs/sha256").join(blob.digest.hex()));
        Ok(found.ok().map(|metadata| BlobInfo::new(metadata.len())))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        if self.stat(blob).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "blob not found"));
        }
        let bytes = self.document(&blob.digest);
        let range = range.map_or(0..bytes.len(), |range| range.start as usize..range.end as usize);
        Ok(stream_of(bytes.slice(range)))
    }
}

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn sorted_dirs(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a path below a folder").to_string_lossy().into_owned()
}
