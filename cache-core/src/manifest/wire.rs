//! `cacheconfig.v0` by Go's rules.

use serde::de::{Error as _, MapAccess};

use super::config::DigestOrText;
use super::joining_record;
use super::{CacheConfig, CacheKey, CacheLayer, CacheRecord, ChainResult, LayerAnnotations, LayerResult, RecordLink};
use crate::json::{self, Text, Tight, go_fields, go_json, go_struct, take, take_list, take_tight};
use crate::model::{DiffId, Digest, Timestamp};

go_json!(CacheConfig { "layers" => take(layers) unless Vec::is_empty, "records" => take(records) unless Vec::is_empty });

/// Encodes a config of these layers and records, and of the record that joins the leaves.
pub(super) fn encode_joined(layers: Vec<CacheLayer>, records: &[CacheRecord]) -> Vec<u8> {
    struct Joined<'a> {
        layers: Vec<CacheLayer>,
        records: Vec<&'a CacheRecord>,
    }
    go_fields!(Joined<'_> { "layers" => layers unless Vec::is_empty, "records" => records unless Vec::is_empty });
    let joining = joining_record(records);
    let joined = Joined { layers, records: records.iter().chain(&joining).collect() };
    json::to_vec(&joined).expect("a config is plain data, which always encodes")
}

impl Default for CacheLayer {
    fn default() -> Self {
        Self { blob: Digest::OF_NOTHING, parent: 0, annotations: None }
    }
}

fn take_blob<'de, A: MapAccess<'de>>(blob: &mut Digest, map: &mut A) -> Result<(), A::Error> {
    if let Some(Text(text)) = map.next_value::<Option<Text<'de>>>()? {
        *blob = text.parse().unwrap_or_else(|_| Digest::sha256(format!("no digest: {text}").as_bytes()));
    }
    Ok(())
}

go_json!(CacheLayer {
    "blob" => take_blob(blob),
    "parent" => take(parent) unless is_zero,
    "annotations" => take(annotations) unless Option::is_none,
});

fn is_zero(value: &i64) -> bool {
    *value == 0
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

go_json!(CacheRecord {
    "layers" => take_tight(results) unless Vec::is_empty,
    "chains" => take_tight(chains) unless Vec::is_empty,
    "digest" => take(key) unless CacheKey::is_empty,
    "inputs" => take_inputs(inputs) unless Vec::is_empty,
});

fn take_inputs<'de, A: MapAccess<'de>>(inputs: &mut Vec<Vec<RecordLink>>, map: &mut A) -> Result<(), A::Error> {
    if let Some(Tight(found)) = map.next_value::<Option<Tight<Option<Tight<RecordLink>>>>>()? {
        *inputs = found.into_iter().map(|input| input.map_or_else(Vec::new, |Tight(links)| links)).collect();
    }
    Ok(())
}

go_json!(LayerResult { "layer" => take(layer), "createdAt" => take_time(created_at) });
go_json!(ChainResult { "layers" => take_list(layers), "createdAt" => take_time(created_at) });
go_json!(RecordLink { "selector" => take(selector) unless String::is_empty, "link" => take(link) });
