//! Records in an image config: the inline cache.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::CacheChains;
use crate::json::{self, go_struct, take, unreadable};
use crate::manifest::{CacheConfig, CacheLayer, CacheManifest, InlineImage, split_leaves, take_time};
use crate::model::{Descriptor, DiffId, Digest, Timestamp, annotation};

/// The fields of an image config that hold its cache; others are not read.
#[derive(Default)]
struct ImageConfig {
    rootfs: RootFs,
    records: Option<Base64>,
    history: Vec<History>,
}

#[derive(Default)]
struct RootFs {
    diff_ids: Vec<DiffId>,
}

#[derive(Default, Clone)]
struct History {
    created: Option<Timestamp>,
    created_by: String,
    empty_layer: bool,
}

/// The cache of one image, or `None` if it has no records.
///
/// A config whose number of diff IDs is not the number of layers is not an image at all (an attestation, say).
pub(super) fn extract(manifest: Digest, config: &[u8], layers: Vec<Descriptor>) -> Result<Option<CacheManifest>> {
    let image: ImageConfig = json::from_slice(config).map_err(|error| unreadable("image config", error))?;
    let (Some(Base64(records)), true) = (image.records, image.rootfs.diff_ids.len() == layers.len()) else {
        return Ok(None);
    };
    let records = CacheConfig::decode_records(&records).map_err(|error| error.with("image", manifest))?;
    let history: Vec<History> = image.history.into_iter().filter(|entry| !entry.empty_layer).collect();
    let split_leaves = split_leaves(&records);
    let inline = InlineImage { manifest, layers: layers.len(), history: history.len(), split_leaves };
    let chain = layers.iter().zip(-1_i64..);
    let chain = chain.map(|(layer, parent)| CacheLayer { blob: layer.digest, parent, annotations: None }).collect();
    let histories = history.into_iter().map(Some).chain(std::iter::repeat(None));
    let described = layers
        .into_iter()
        .zip(image.rootfs.diff_ids)
        .zip(histories)
        .map(|((layer, diff_id), history)| describe(layer, diff_id, history.unwrap_or_default()));
    let manifest = CacheManifest::new(CacheConfig { layers: chain, records }, described);
    Ok(Some(manifest.with_inline_images(vec![inline])))
}

fn describe(layer: Descriptor, diff_id: DiffId, history: History) -> Descriptor {
    let mut layer = layer;
    if let Some(created) = history.created {
        layer = layer.with_annotation(annotation::CREATED_AT, created);
    }
    if !history.created_by.is_empty() {
        layer = layer.with_annotation(annotation::DESCRIPTION, history.created_by);
    }
    layer.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

/// Base64 as Go decodes a byte slice; an empty string is present, and is not JSON.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        text.retain(|c| c != '\r' && c != '\n');
        BASE64.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

go_struct!(ImageConfig {
    "rootfs" => take(rootfs),
    "history" => take(history),
    "moby.buildkit.cache.v0" => take(records),
});

go_struct!(RootFs { "diff_ids" => take(diff_ids) });

go_struct!(History {
    "created" => take_time(created),
    "created_by" => take(created_by),
    "empty_layer" => take(empty_layer),
});

/// Joins the caches of several images (platforms) into one.
pub(super) fn join(mut images: Vec<CacheManifest>) -> Result<Option<CacheManifest>> {
    if images.len() < 2 {
        return Ok(images.pop());
    }
    let parts: Vec<_> = images.iter().map(CacheChains::from_manifest).collect::<Result<_>>()?;
    let mut joined = CacheChains::new();
    joined.merge_all(&parts)?;
    let inline = images.iter().flat_map(CacheManifest::inline_images).cloned().collect();
    Ok(Some(joined.to_manifest().with_inline_images(inline)))
}

/// The error of an image index that names too many images.
pub(super) fn too_many(limit: usize) -> Error {
    Error::new(ErrorKind::LimitExceeded, "image index names too many manifests").with("limit", limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{FindingCode, check};
    use crate::model::MediaType;

    #[test]
    fn the_records_of_an_image_with_several_leaves_are_a_finding() {
        let split = r#"[{"digest":"a"},{"digest":"b","inputs":[[{"link":0}]]},{"digest":"c","inputs":[[{"link":0}]]},
            {"digest":"d","inputs":[[{"link":1}],[{"link":0}]]}]"#;
        let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer");
        let (diff_id, records) = (layer.digest, BASE64.encode(split));
        let config = format!(
            r#"{{"rootfs":{{"diff_ids":["{diff_id}"]}},"history":[{{}}],"moby.buildkit.cache.v0":"{records}"}}"#
        );
        let image = Digest::sha256(b"image");
        let manifest = extract(image, config.as_bytes(), vec![layer]).unwrap().unwrap();
        let found: Vec<_> = check(&manifest).into_iter().map(|finding| (finding.code, finding.object)).collect();
        assert_eq!(found, [(FindingCode::SeveralLeaves, format!("image {image}"))]);
    }
}
