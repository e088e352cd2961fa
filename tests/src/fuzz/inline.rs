//! Image configs with records.

use cache_core::model::Limits;
use cache_core::{CacheChains, Digest, check, load};
use cache_memory::MemoryCache;
use futures_util::FutureExt;

use crate::malformed::image;

/// Any config is read or refused, and records that are a graph can be encoded and decoded.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let blobs = MemoryCache::new();
    blobs.overwrite(Digest::sha256(data), data.to_vec());
    let config: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    let layers = config["rootfs"]["diff_ids"].as_array().map_or(1, Vec::len).min(100);
    let read = load(image(data, layers), &blobs, &Limits::default()).now_or_never();
    let Ok(Some(manifest)) = read.expect("memory is never pending") else { return };
    assert_eq!(manifest.config().layers.len(), layers);
    let _ = check(&manifest);
    if let Ok(chains) = CacheChains::from_manifest(&manifest) {
        CacheChains::from_manifest(&chains.to_manifest()).expect("what was encoded is a graph");
    }
}
