//! Shared by the unit tests of the verbs: caches in memory, and sessions with them.

use cache_core::{CacheChains, CacheKey, CacheLink, CacheResult, Descriptor, Digest, MediaType, Timestamp, annotation};
use cache_memory::MemoryCache;
use cache_ops::{Backends, ExportSettings, export};

use crate::args::Globals;
use crate::session::Session;

/// Contents of layers, of different sizes.
pub(crate) const LAYERS: &[&str] = &["a", "bb", "cccc", "dddddddd"];

/// A session with `type=memory`, and without progress.
pub(crate) fn session(store: &MemoryCache) -> Session {
    let globals = Globals { quiet: true, concurrency: Some(4), ..Globals::default() };
    Session::new(|_| Backends::new().with(store.clone()), globals)
}

/// A session with `--ignore-unknown`.
pub(crate) fn ignoring_unknown(store: &MemoryCache) -> Session {
    let mut session = session(store);
    session.globals.ignore_unknown = true;
    session
}

/// A plain tar layer that holds `content`.
pub(crate) fn layer(content: &str) -> Descriptor {
    let blob = Descriptor::of(MediaType::OCI_LAYER, content.as_bytes());
    let diff_id = blob.digest;
    blob.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

/// Exports a cache with a root and one step for each layer, each on top of the one before.
pub(crate) async fn insert(store: &MemoryCache, name: &str, layers: &[&str]) {
    let mut chains = CacheChains::new();
    let mut below = chains.add_root(CacheKey::content(Digest::sha256(b"sources"))).unwrap().unwrap();
    let mut chain = Vec::new();
    for (n, content) in layers.iter().enumerate() {
        let _ = store.insert(content.as_bytes().to_vec());
        chain.push(layer(content));
        let key = CacheKey::output(Digest::sha256(content.as_bytes()), 0);
        let result = CacheResult::new(time(n), chain.clone());
        below = chains.add(key, &[vec![CacheLink::new(below)]], vec![result]).unwrap().unwrap();
    }
    let settings = ExportSettings::default();
    export(&chains.to_manifest(), store, &store.named(name), &settings).await.unwrap();
}

/// Minute `n` of a day.
pub(crate) fn time(n: usize) -> Timestamp {
    format!("2026-11-23T00:{n:02}:00Z").parse().unwrap()
}
