//! `application/vnd.buildkit.cacheconfig.v0`, exactly as BuildKit reads and writes it.
//!
//! A [`CacheConfig`] is the decoded document: indices are as written and may dangle. A sound config is converted to
//! [`CacheChains`](crate::CacheChains); [`check`](crate::check) returns the findings about an unsound one.

use std::fmt;
use std::io::BufWriter;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Result;
use crate::json::{self, unreadable};
use crate::model::{DiffId, Digest, Digester, MediaType, Timestamp, debug_as_text};

/// The cache config: the layers that hold results, and the records that lead to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheConfig {
    /// The layers, each pointing at its parent.
    pub layers: Vec<CacheLayer>,
    /// The records, each pointing at its inputs.
    pub records: Vec<CacheRecord>,
}

/// One layer: a blob on top of a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLayer {
    /// The layer's blob. Text that is not a digest becomes a digest that no blob has, so that the layer has no
    /// descriptor, and its results are dropped.
    pub blob: Digest,
    /// The index of the parent layer, -1 for none. A document without the key means 0.
    pub parent: i64,
    /// The descriptor, in the indexes of s3, azblob and gha, which have no manifest.
    pub annotations: Option<Box<LayerAnnotations>>,
}

/// A layer's descriptor, if no manifest contains it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerAnnotations {
    /// The blob's media type.
    pub media_type: MediaType,
    /// The digest of the uncompressed stream; an import fails without it.
    pub diff_id: Option<DiffId>,
    /// Text in its place that is not a digest, so that the layer cannot be loaded.
    pub(super) wrong_diff_id: Option<Box<str>>,
    /// The blob's size in bytes.
    pub size: u64,
    /// When the layer was made; zero for unknown.
    pub created_at: Timestamp,
}

/// One cache key, what it derives from, and the results it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheRecord {
    /// Results as the top layer of a chain.
    pub results: Vec<LayerResult>,
    /// Results as explicit lists of layers; written by inline exports only.
    pub chains: Vec<ChainResult>,
    /// The key.
    pub key: CacheKey,
    /// For each input the alternatives, any of which will do; none for a root.
    pub inputs: Vec<Vec<RecordLink>>,
}

/// A result: the top layer of a chain that is followed through the parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerResult {
    /// The index of the top layer.
    pub layer: i64,
    /// When the result was saved.
    pub created_at: Timestamp,
}

/// A result: its layers from bottom to top, parents not followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainResult {
    /// The indices of the layers, bottom first.
    pub layers: Vec<i64>,
    /// When the result was saved; inline exports write zero.
    pub created_at: Timestamp,
}

/// One alternative of one input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RecordLink {
    /// Which part of the linked record is used; opaque, empty for all of it.
    pub selector: String,
    /// The index of the linked record.
    pub link: i64,
}

/// A record's key: in practice a digest, on the wire any string.
///
/// ```
/// use cache_core::{CacheKey, Digest};
///
/// let key = CacheKey::output(Digest::sha256(b"a"), 0);
/// assert_eq!(key.to_string(), "sha256:f75746e2973481c1d7fa28ec8e01bcad88f6b05b273a6e3dba5d0654f17c97f1");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CacheKey(DigestOrText);

/// A string of a document that should be a digest. A digest needs no memory of its own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum DigestOrText {
    Digest(Digest),
    Text(Box<str>),
}

impl CacheKey {
    /// The key of one output of an operation: the digest of `<cache map digest>@<output>`.
    #[must_use]
    pub fn output(cache_map: Digest, output: i64) -> Self {
        Self(DigestOrText::Digest(Digest::sha256(format!("{cache_map}@{output}").as_bytes())))
    }

    /// The key of a step's input by its content: output -1 of the content's digest.
    #[must_use]
    pub fn content(content: Digest) -> Self {
        Self::output(content, -1)
    }

    /// Whether the key is random: such a step is never the same twice, and BuildKit never stores its key.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(&self.0, DigestOrText::Text(text) if text.starts_with("random:"))
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.0, DigestOrText::Text(text) if text.is_empty())
    }
}

impl<'de> Deserialize<'de> for CacheKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DigestOrText::deserialize(deserializer).map(Self)
    }
}

impl Default for DigestOrText {
    fn default() -> Self {
        Self::Text(Box::default())
    }
}

impl From<&str> for DigestOrText {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.into()), Self::Digest)
    }
}

impl<'de> Deserialize<'de> for DigestOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::Text::deserialize(deserializer).map(|json::Text(text)| (&*text).into())
    }
}

impl From<Digest> for CacheKey {
    fn from(digest: Digest) -> Self {
        Self(DigestOrText::Digest(digest))
    }
}

impl From<&str> for CacheKey {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Ord for CacheKey {
    /// The order of the text, which is how BuildKit sorts records.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (&self.0, &other.0) {
            (DigestOrText::Digest(a), DigestOrText::Digest(b)) => a.cmp(b),
            _ => self.to_string().cmp(&other.to_string()),
        }
    }
}

impl PartialOrd for CacheKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DigestOrText::Digest(digest) => fmt::Display::fmt(digest, f),
            DigestOrText::Text(text) => f.pad(text),
        }
    }
}

debug_as_text!(CacheKey);

impl Serialize for CacheKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            DigestOrText::Digest(digest) => digest.serialize(serializer),
            DigestOrText::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl CacheConfig {
    /// Decodes a config as BuildKit does: unknown keys are skipped, keys match in any case, `null` is empty.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](crate::ErrorKind::InvalidManifest) when the bytes are not such a document.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        json::from_slice(bytes).map_err(|error| unreadable("cache config", error))
    }

    /// Decodes the records of an inline cache, which stand alone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](crate::ErrorKind::InvalidManifest) when the bytes are not a list of records.
    pub fn decode_records(bytes: &[u8]) -> Result<Vec<CacheRecord>> {
        let records: Option<Vec<CacheRecord>> =
            json::from_slice(bytes).map_err(|error| unreadable("inline cache records", error))?;
        Ok(records.unwrap_or_default())
    }

    /// The digest of what [`encode`](Self::encode) gives, without these bytes in memory.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut out = BufWriter::new(Digester::sha256());
        json::write(self, &mut out).expect("a config is plain data, which always encodes");
        out.into_inner().expect("nothing fails that hashes").finish()
    }

    /// Encodes the config byte for byte as BuildKit does; the order of layers and records is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::to_vec(self).expect("a config is plain data, which always encodes")
    }
}

impl Serialize for LayerAnnotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.media_type.is_empty() {
            map.serialize_entry("mediaType", &self.media_type)?;
        }
        if let Some(diff_id) = self.written_diff_id() {
            map.serialize_entry("diffID", &diff_id)?;
        }
        if self.size > 0 {
            map.serialize_entry("size", &i64::try_from(self.size).unwrap_or(i64::MAX))?;
        }
        map.serialize_entry("createdAt", &self.created_at)?;
        map.end()
    }
}

impl LayerAnnotations {
    /// The diff ID as the document has it, also where it is none.
    pub(super) fn written_diff_id(&self) -> Option<String> {
        self.diff_id.map(|id| id.to_string()).or_else(|| self.wrong_diff_id.as_deref().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_an_escape_is_refused_as_in_go() {
        let decode = |z: &str| {
            CacheConfig::decode(
                format!(r#"{{"records":[{{"layers":[{{"createdAt":"2026-11-23T07:40:36{z}"}}]}}]}}"#).as_bytes(),
            )
        };
        assert!(decode("Z").is_ok());
        assert!(decode(r"\u005a").is_err());
    }

    #[test]
    fn the_digest_of_a_config_is_that_of_its_bytes() {
        let key = |n: u32| CacheKey::from(format!("<{n}>").as_str());
        let records = (0..2_000).map(|n| CacheRecord { key: key(n), ..CacheRecord::default() });
        let config = CacheConfig { records: records.collect(), ..CacheConfig::default() };
        assert_eq!(config.digest(), Digest::sha256(&config.encode()));
    }
}
