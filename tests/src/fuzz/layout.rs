//! `index.json` of a directory.

use std::fs;

use cache_core::{CacheImporter, CacheStore, ErrorKind};
use cache_local::{LocalConfig, LocalImporter, LocalStore};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::fixtures;

/// The errors that an entry may have.
const EXPECTED: [ErrorKind; 5] = [
    ErrorKind::InvalidManifest,
    ErrorKind::NotFound,
    ErrorKind::DigestMismatch,
    ErrorKind::Unavailable,
    ErrorKind::LimitExceeded,
];

thread_local! {
    /// A directory with the blobs of a fixture, and a runtime.
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

/// A listed cache can be opened, or the error is an expected one.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    if !is_index(data) {
        return;
    }
    PLACE.with(|(directory, runtime)| {
        fs::write(directory.path().join("index.json"), data).expect("the directory is there");
        runtime.block_on(check(LocalConfig::new(directory.path())));
    });
}

/// Whether this looks like an index. Anything else may be torn, so it would be read again for an eighth of a second.
fn is_index(data: &[u8]) -> bool {
    let index: Result<Map<String, Value>, _> = serde_json::from_slice(data);
    let is_field = |(name, value): (&String, &Value)| match name.to_ascii_lowercase().as_str() {
        "manifests" => value.is_null() || value.as_array().is_some_and(|entries| entries.iter().all(is_entry)),
        "mediatype" => value.is_null() || value.is_string(),
        "schemaversion" => value.is_null() || value.is_i64(),
        _ => true,
    };
    index.is_ok_and(|index| index.iter().all(is_field))
}

fn is_entry(entry: &Value) -> bool {
    let annotations = &entry["annotations"];
    let is_map = || annotations.as_object().is_some_and(|map| map.values().all(Value::is_string));
    entry.is_object() && (annotations.is_null() || is_map())
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
