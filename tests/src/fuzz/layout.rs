//! `index.json` of a directory.

use std::fs;

use cache_core::{CacheImporter, CacheStore, ErrorKind};
use cache_local::{LocalConfig, LocalImporter, LocalStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::fixtures;

/// What can be wrong with an entry.
const EXPECTED: [ErrorKind; 5] = [
    ErrorKind::InvalidManifest,
    ErrorKind::NotFound,
    ErrorKind::DigestMismatch,
    ErrorKind::Unavailable,
    ErrorKind::LimitExceeded,
];

thread_local! {
    /// A directory with the blobs of a fixture, and what runs its importer.
    static PLACE: (TempDir, Runtime) = place();
}

fn place() -> (TempDir, Runtime) {
    let directory = TempDir::with_prefix("cache-fuzz-").expect("temporary files can be written");
    let blobs = directory.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("the directory is new");
    for (digest, bytes) in fixtures::named("v0.32/generations").blobs() {
        fs::write(blobs.join(digest.hex()), bytes).expect("the directory is new");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    (directory, runtime.expect("a runtime needs nothing"))
}

/// What is listed can be opened, or the error says that something is not there.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    PLACE.with(|(directory, runtime)| {
        fs::write(directory.path().join("index.json"), data).expect("the directory is there");
        runtime.block_on(check(LocalConfig::new(directory.path())));
    });
}

async fn check(config: LocalConfig) {
    let _ = LocalImporter::new(config.clone()).resolve().await;
    let store = LocalStore::new(config);
    let Ok(caches) = store.caches().await else { return };
    for cache in caches {
        let resolved = match store.open(&cache).await {
            Ok(opened) => opened.resolve().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = resolved {
            assert!(EXPECTED.contains(&error.kind()), "{error:?}");
        }
    }
}
