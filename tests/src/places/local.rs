//! A directory.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheSpec, Digest, Timestamp};
use tempfile::TempDir;

use super::system_time;
use crate::harness::Harness;

/// A directory that does not exist yet, below one that is removed at the end.
#[derive(Debug)]
pub struct Local {
    folder: TempDir,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

impl Local {
    /// A place in the system's directory for temporary files.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("cache-tests-").expect("the folder for temporary files can be written");
        Self { folder, damaged: Mutex::default() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn blob(&self, blob: &Digest) -> PathBuf {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
        self.root().join("blobs/sha256").join(blob.hex())
    }

    fn is_damaged(&self, path: &str) -> bool {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.iter().any(|blob| path.ends_with(&blob.hex()))
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for Local {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_local::Local)
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("local").with("dest", self.root().to_string_lossy()).with("tag", "main")
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("tag", "other"))
    }

    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        Some(Box::new(cache_local::LocalImage::new(cache_local::LocalConfig::new(self.root()).with_tag("image"))))
    }

    fn keeps_form(&self) -> bool {
        true
    }

    fn exception(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn shown(&self) -> Vec<String> {
        vec![format!("{:?}", cache_local::LocalConfig::new(self.root()))]
    }

    async fn contents(&self) -> Vec<String> {
        let mut paths = files_below(self.folder.path());
        paths.extend(self.root().exists().then(|| self.root()));
        paths.iter().map(|path| path.display().to_string()).collect()
    }

    async fn leftovers(&self) -> Vec<String> {
        let mut leftovers = temporary_files(&self.root());
        leftovers.extend(wrong_blobs(&self.root()).into_iter().filter(|path| !self.is_damaged(path)));
        leftovers
    }

    async fn lose(&self, blob: &Digest) {
        fs::remove_file(self.blob(blob)).expect("the blob is there");
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        // The file is read-only, so it has to be replaced.
        let path = self.blob(blob);
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).expect("the blob can be written");
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        let path = self.root().join("blobs/sha256").join(blob.hex());
        let file = fs::File::open(path).expect("the blob is there");
        file.set_modified(system_time(modified)).expect("it is ours");
        true
    }
}

/// Everything in a cache directory that is not part of a cache, in order: temporary directories, locks, other files.
#[must_use]
pub fn temporary_files(root: &Path) -> Vec<String> {
    let is_part = |path: &PathBuf| {
        let relative = path.strip_prefix(root).expect("a path below the root");
        let parent = relative.parent().unwrap_or(Path::new(""));
        parent == Path::new("blobs/sha256")
            || relative == Path::new("index.json")
            || relative == Path::new("oci-layout")
    };
    let mut found: Vec<String> = files_below(root)
        .into_iter()
        .chain(entries(&root.join("ingest")))
        .filter(|path| !is_part(path))
        .map(|path| path.display().to_string())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The blobs of a cache directory with wrong bytes.
#[must_use]
pub fn wrong_blobs(root: &Path) -> Vec<String> {
    let is_wrong = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let named = name.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
        named != fs::read(path).ok().map(|bytes| Digest::sha256(&bytes))
    };
    let blobs = files_below(&root.join("blobs"));
    blobs.into_iter().filter(is_wrong).map(|path| path.display().to_string()).collect()
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for path in entries(&directory) {
            if path.is_dir() { todo.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The content of a directory; empty if it does not exist.
fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
