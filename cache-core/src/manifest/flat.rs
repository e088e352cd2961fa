//! The index of s3, azblob and gha: a cache config whose layers carry their own descriptors.

use super::{CacheConfig, CacheManifest, LayerAnnotations, join_leaves};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Descriptor, Timestamp, annotation};

/// Reads an index document: the config, and a descriptor for each layer from its annotations.
pub(super) fn decode(bytes: &[u8]) -> Result<CacheManifest> {
    let config = CacheConfig::decode(bytes)?;
    let descriptors = config
        .layers
        .iter()
        .enumerate()
        .map(|(n, layer)| {
            let annotations =
                layer.annotations.as_deref().ok_or_else(|| missing("cache layer with missing annotations", n))?;
            let diff_id = annotations.written_diff_id().ok_or_else(|| missing("cache layer with missing diffid", n))?;
            let mut descriptor = Descriptor::new(annotations.media_type.clone(), layer.blob, annotations.size)
                .with_annotation(annotation::UNCOMPRESSED, diff_id);
            if !annotations.created_at.is_zero() {
                descriptor = descriptor.with_annotation(annotation::CREATED_AT, annotations.created_at);
            }
            Ok(descriptor)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(CacheManifest::new(config, descriptors))
}

/// Writes the index document; descriptors move into the layers' annotations, media types become OCI's.
///
/// Without layers no record has a result, and BuildKit writes the empty object.
pub(super) fn encode(manifest: &CacheManifest) -> Result<Vec<u8>> {
    if manifest.is_empty() {
        return Ok(CacheConfig::default().encode());
    }
    let mut config = manifest.config().clone();
    join_leaves(&mut config.records);
    for (n, layer) in config.layers.iter_mut().enumerate() {
        let descriptor =
            manifest.descriptor(&layer.blob).ok_or_else(|| missing("cache layer with missing descriptor", n))?;
        let diff_id = descriptor.diff_id().ok_or_else(|| missing("cache layer with missing diffid", n))?;
        layer.annotations = Some(Box::new(LayerAnnotations {
            media_type: descriptor.media_type.to_oci(),
            diff_id: Some(diff_id),
            wrong_diff_id: None,
            size: descriptor.size,
            created_at: descriptor.created_at().map_or(Timestamp::ZERO, Timestamp::to_utc),
        }));
    }
    Ok(config.encode())
}

fn missing(message: &str, layer: usize) -> Error {
    Error::new(ErrorKind::InvalidManifest, message).with("layer", layer)
}
