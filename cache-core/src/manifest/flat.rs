//! The index of s3, azblob and gha: a cache config whose layers carry their own descriptors.

use super::{CacheConfig, CacheLayer, CacheManifest, LayerAnnotations, wire};
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
    let layer = |(n, layer): (usize, &CacheLayer)| {
        let descriptor =
            manifest.descriptor(&layer.blob).ok_or_else(|| missing("cache layer with missing descriptor", n))?;
        let diff_id = descriptor.diff_id().ok_or_else(|| missing("cache layer with missing diffid", n))?;
        let annotations = LayerAnnotations {
            media_type: descriptor.media_type.to_oci(),
            diff_id: Some(diff_id),
            wrong_diff_id: None,
            size: descriptor.size,
            created_at: descriptor.created_at().map_or(Timestamp::ZERO, Timestamp::to_utc),
        };
        Ok(CacheLayer { annotations: Some(Box::new(annotations)), ..*layer })
    };
    let config = manifest.config();
    let layers = config.layers.iter().enumerate().map(layer).collect::<Result<_>>()?;
    Ok(wire::encode_joined(layers, &config.records))
}

fn missing(message: &str, layer: usize) -> Error {
    Error::new(ErrorKind::InvalidManifest, message).with("layer", layer)
}
