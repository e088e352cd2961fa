//! The index document of s3, azblob and gha.

use cache_core::CacheManifest;

/// A document that decodes keeps its bytes, and describes every layer.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(manifest) = CacheManifest::decode_flat(data.to_vec()) else { return };
    assert_eq!(manifest.encode_flat().expect("it is described"), data, "bytes are not kept");
    assert!(manifest.config().layers.iter().all(|layer| manifest.descriptor(&layer.blob).is_some()));
    let rebuilt = CacheManifest::new(manifest.config().clone(), manifest.blobs().iter().cloned());
    let Ok(encoded) = rebuilt.encode_flat() else {
        // An invalid diff ID is read, as in BuildKit, but never written.
        return assert!(manifest.blobs().iter().any(|blob| blob.diff_id().is_none()), "it is described");
    };
    let again = CacheManifest::decode_flat(encoded.clone()).expect("what was encoded decodes");
    let rebuilt = CacheManifest::new(again.config().clone(), again.blobs().iter().cloned());
    assert_eq!(rebuilt.encode_flat().expect("it is described"), encoded, "encoding is not stable");
}
