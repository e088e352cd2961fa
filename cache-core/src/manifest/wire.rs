//! The decoding of `cacheconfig.v0` by Go's rules.

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use super::{CacheConfig, CacheLayer, CacheRecord, ChainResult, LayerAnnotations, LayerResult, RecordLink};
use crate::json::{self, GoObject, key_is, take};
use crate::model::Digest;

impl GoObject for CacheConfig {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "layers") => take(&mut self.layers, map),
            () if key_is(key, "records") => take(&mut self.records, map),
            () => Ok(false),
        }
    }
}

#[derive(Default)]
struct WireLayer {
    blob: String,
    parent: i64,
    annotations: Option<Box<LayerAnnotations>>,
}

impl GoObject for WireLayer {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "blob") => take(&mut self.blob, map),
            () if key_is(key, "parent") => take(&mut self.parent, map),
            () if key_is(key, "annotations") => take(&mut self.annotations, map),
            () => Ok(false),
        }
    }
}

impl GoObject for LayerAnnotations {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "mediatype") => take(&mut self.media_type, map),
            () if key_is(key, "diffid") => {
                if let Some(text) = map.next_value::<Option<String>>()? {
                    self.diff_id = text.parse().ok();
                    let is_wrong = self.diff_id.is_none() && !text.is_empty();
                    self.wrong_diff_id = is_wrong.then(|| text.into_boxed_str());
                }
                Ok(true)
            }
            () if key_is(key, "size") => {
                // No blob has a negative size: a read of the layer finds the right one.
                self.size = map.next_value::<Option<i64>>()?.map_or(self.size, |size| u64::try_from(size).unwrap_or(0));
                Ok(true)
            }
            () if key_is(key, "createdat") => take(&mut self.created_at, map),
            () => Ok(false),
        }
    }
}

impl GoObject for CacheRecord {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "layers") => take(&mut self.results, map),
            () if key_is(key, "chains") => take(&mut self.chains, map),
            () if key_is(key, "digest") => take(&mut self.key, map),
            () if key_is(key, "inputs") => {
                if let Some(inputs) = map.next_value::<Option<Vec<Option<Vec<RecordLink>>>>>()? {
                    self.inputs = inputs.into_iter().map(Option::unwrap_or_default).collect();
                }
                Ok(true)
            }
            () => Ok(false),
        }
    }
}

impl GoObject for LayerResult {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "layer") => take(&mut self.layer, map),
            () if key_is(key, "createdat") => take(&mut self.created_at, map),
            () => Ok(false),
        }
    }
}

impl GoObject for ChainResult {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "layers") => {
                if let Some(layers) = map.next_value::<Option<Vec<Option<i64>>>>()? {
                    self.layers = layers.into_iter().map(Option::unwrap_or_default).collect();
                }
                Ok(true)
            }
            () if key_is(key, "createdat") => take(&mut self.created_at, map),
            () => Ok(false),
        }
    }
}

impl GoObject for RecordLink {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "selector") => take(&mut self.selector, map),
            () if key_is(key, "link") => take(&mut self.link, map),
            () => Ok(false),
        }
    }
}

impl<'de> Deserialize<'de> for CacheLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireLayer { blob, parent, annotations } = json::object(deserializer)?;
        let nobodys = || Digest::sha256(format!("no digest: {blob}").as_bytes());
        Ok(Self { blob: blob.parse().unwrap_or_else(|_| nobodys()), parent, annotations })
    }
}

impl<'de> Deserialize<'de> for CacheConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

impl<'de> Deserialize<'de> for LayerAnnotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

impl<'de> Deserialize<'de> for CacheRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

impl<'de> Deserialize<'de> for LayerResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

impl<'de> Deserialize<'de> for ChainResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

impl<'de> Deserialize<'de> for RecordLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}
