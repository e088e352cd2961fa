//! The decoding of `cacheconfig.v0` by Go's rules.

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use super::{CacheConfig, CacheLayer, CacheRecord, ChainResult, LayerAnnotations, LayerResult, RecordLink};
use crate::json::{go_struct, take, take_list};
use crate::model::{DiffId, Digest};

go_struct!(CacheConfig { "layers" => take(layers), "records" => take(records) });

#[derive(Default)]
struct WireLayer {
    blob: String,
    parent: i64,
    annotations: Option<Box<LayerAnnotations>>,
}

go_struct!(WireLayer { "blob" => take(blob), "parent" => take(parent), "annotations" => take(annotations) });

impl<'de> Deserialize<'de> for CacheLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireLayer { blob, parent, annotations } = WireLayer::deserialize(deserializer)?;
        let nobodys = || Digest::sha256(format!("no digest: {blob}").as_bytes());
        Ok(Self { blob: blob.parse().unwrap_or_else(|_| nobodys()), parent, annotations })
    }
}

go_struct!(LayerAnnotations {
    "mediatype" => take(media_type),
    "diffid" => take_diff_id(diff_id, wrong_diff_id),
    "size" => take_sloppy_size(size),
    "createdat" => take(created_at),
});

fn take_diff_id<'de, A: MapAccess<'de>>(
    diff_id: &mut Option<DiffId>,
    wrong: &mut Option<Box<str>>,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(text) = map.next_value::<Option<String>>()? {
        *diff_id = text.parse().ok();
        *wrong = (diff_id.is_none() && !text.is_empty()).then(|| text.into_boxed_str());
    }
    Ok(())
}

/// No blob has a negative size: a read of the layer finds the right one.
fn take_sloppy_size<'de, A: MapAccess<'de>>(size: &mut u64, map: &mut A) -> Result<(), A::Error> {
    if let Some(found) = map.next_value::<Option<i64>>()? {
        *size = u64::try_from(found).unwrap_or(0);
    }
    Ok(())
}

go_struct!(CacheRecord {
    "layers" => take_tight(results),
    "chains" => take_tight(chains),
    "digest" => take(key),
    "inputs" => take_inputs(inputs),
});

/// A list that is read has room for four, and most records have one of each: that would be most of the memory of a config.
fn take_tight<'de, T, A>(list: &mut Vec<T>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    take(list, map)?;
    list.shrink_to_fit();
    Ok(())
}

fn take_inputs<'de, A: MapAccess<'de>>(inputs: &mut Vec<Vec<RecordLink>>, map: &mut A) -> Result<(), A::Error> {
    take_list(inputs, map)?;
    inputs.iter_mut().for_each(Vec::shrink_to_fit);
    inputs.shrink_to_fit();
    Ok(())
}

go_struct!(LayerResult { "layer" => take(layer), "createdat" => take(created_at) });

go_struct!(ChainResult { "layers" => take_list(layers), "createdat" => take(created_at) });

go_struct!(RecordLink { "selector" => take(selector), "link" => take(link) });
