//! The decoding of `cacheconfig.v0` by Go's rules.

use serde::de::{Error as _, MapAccess};
use serde::{Deserialize, Deserializer};

use super::config::DigestOrText;
use super::{CacheConfig, CacheLayer, CacheRecord, ChainResult, LayerAnnotations, LayerResult, RecordLink};
use crate::json::{Tight, go_struct, take, take_list, take_tight};
use crate::model::{DiffId, Digest, Timestamp};

go_struct!(CacheConfig { "layers" => take(layers), "records" => take(records) });

#[derive(Default)]
struct WireLayer {
    blob: DigestOrText,
    parent: i64,
    annotations: Option<Box<LayerAnnotations>>,
}

go_struct!(WireLayer { "blob" => take(blob), "parent" => take(parent), "annotations" => take(annotations) });

impl<'de> Deserialize<'de> for CacheLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireLayer { blob, parent, annotations } = WireLayer::deserialize(deserializer)?;
        let blob = match blob {
            DigestOrText::Digest(blob) => blob,
            DigestOrText::Text(text) => Digest::sha256(format!("no digest: {text}").as_bytes()),
        };
        Ok(Self { blob, parent, annotations })
    }
}

go_struct!(LayerAnnotations {
    "mediatype" => take(media_type),
    "diffid" => take_diff_id(diff_id, wrong_diff_id),
    "size" => take_sloppy_size(size),
    "createdat" => take_time(created_at),
});

fn take_diff_id<'de, A: MapAccess<'de>>(
    diff_id: &mut Option<DiffId>,
    wrong: &mut Option<Box<str>>,
    map: &mut A,
) -> Result<(), A::Error> {
    (*diff_id, *wrong) = match map.next_value::<Option<DigestOrText>>()? {
        Some(DigestOrText::Digest(digest)) => (Some(DiffId(digest)), None),
        Some(DigestOrText::Text(text)) => (None, Some(text).filter(|text| !text.is_empty())),
        None => return Ok(()),
    };
    Ok(())
}

/// Reads a negative size as 0. No blob has one, and a reader of the layer takes the size of the blob.
fn take_sloppy_size<'de, A: MapAccess<'de>>(size: &mut u64, map: &mut A) -> Result<(), A::Error> {
    if let Some(found) = map.next_value::<Option<i64>>()? {
        *size = u64::try_from(found).unwrap_or(0);
    }
    Ok(())
}

/// Takes the next value into a time. Escapes are not allowed, since Go parses the raw text.
pub(crate) fn take_time<'de, T: From<Timestamp>, A: MapAccess<'de>>(slot: &mut T, map: &mut A) -> Result<(), A::Error> {
    if let Some(text) = map.next_value::<Option<&'de str>>()? {
        *slot = text.parse::<Timestamp>().map_err(A::Error::custom)?.into();
    }
    Ok(())
}

go_struct!(CacheRecord {
    "layers" => take_tight(results),
    "chains" => take_tight(chains),
    "digest" => take(key),
    "inputs" => take_inputs(inputs),
});

fn take_inputs<'de, A: MapAccess<'de>>(inputs: &mut Vec<Vec<RecordLink>>, map: &mut A) -> Result<(), A::Error> {
    if let Some(Tight(found)) = map.next_value::<Option<Tight<Option<Tight<RecordLink>>>>>()? {
        *inputs = found.into_iter().map(|input| input.map_or_else(Vec::new, |Tight(links)| links)).collect();
    }
    Ok(())
}

go_struct!(LayerResult { "layer" => take(layer), "createdat" => take_time(created_at) });

go_struct!(ChainResult { "layers" => take_list(layers), "createdat" => take_time(created_at) });

go_struct!(RecordLink { "selector" => take(selector), "link" => take(link) });
