//! The parts that several JSON documents share.

use std::fmt::Write as _;
use std::path::Path;

use cache_core::graph::FindingCode;
use cache_core::{CacheManifest, CacheSpec, Descriptor, Digest, Finding, MediaType, Timestamp};
use cache_ops::{CacheSizes, DroppedResult};
use serde::Serialize;

use crate::text;

/// A document or blob: what OCI calls a descriptor, without its annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlobReport {
    /// Its media type.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) media_type: MediaType,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl From<&Descriptor> for BlobReport {
    fn from(blob: &Descriptor) -> Self {
        Self { media_type: blob.media_type.clone(), digest: blob.digest, size: blob.size }
    }
}

/// The digest that names a cache: that of its manifest, of its only image, or of an index without a manifest.
pub(crate) fn digest_of(manifest: &CacheManifest) -> Option<Digest> {
    match (manifest.raw_manifest(), manifest.inline_images()) {
        (Some(document), _) => Some(document.descriptor.digest),
        (None, [image]) => Some(image.manifest),
        (None, _) => manifest.raw_config().map(|config| config.descriptor.digest),
    }
}

/// The digest of a cache's config, as it was read or as it would be written. It is the same for two shards of one cache.
pub(crate) fn config_digest(manifest: &CacheManifest) -> Digest {
    manifest.raw_config().map_or_else(|| manifest.config().digest(), |config| config.descriptor.digest)
}

/// The command to draw a verb's output.
pub(crate) fn look_at(specs: &[&str], log: Option<&Path>) -> String {
    let mut words = vec!["buildcache report".to_owned()];
    words.extend(specs.iter().map(|spec| quoted(&shown(spec))));
    words.extend(log.map(|log| format!("--log {}", quoted(&log.display().to_string()))));
    words.push("-o report.html".to_owned());
    words.join(" ")
}

/// A spec without its secrets.
fn shown(spec: &str) -> String {
    spec.parse::<CacheSpec>().map_or_else(|_| "SPEC".to_owned(), |spec| spec.to_string())
}

/// Quoted for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "=,./:@_-+%".contains(c);
    let needs_none = !text.is_empty() && text.chars().all(is_plain);
    if needs_none { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// How large a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct SizesReport {
    /// Bytes of the config as a registry or a directory keeps it.
    pub(crate) config_size: u64,
    /// How many records there are.
    pub(crate) records: usize,
    /// How many results there are.
    pub(crate) results: usize,
    /// How many layers there are.
    pub(crate) layers: usize,
    /// How many blobs there are.
    pub(crate) blobs: usize,
    /// Their bytes, each blob counted once.
    pub(crate) bytes: u64,
}

impl From<CacheSizes> for SizesReport {
    fn from(sizes: CacheSizes) -> Self {
        Self {
            config_size: sizes.config,
            records: sizes.records,
            results: sizes.results,
            layers: sizes.layers,
            blobs: sizes.blobs,
            bytes: sizes.bytes,
        }
    }
}

/// A result that is not in the new cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct DroppedReport {
    /// The key of its record.
    pub(crate) key: String,
    /// When it was made.
    pub(crate) created_at: Option<Timestamp>,
    /// The blob of its top layer.
    pub(crate) layer: Option<Digest>,
}

impl From<&DroppedResult> for DroppedReport {
    fn from(dropped: &DroppedResult) -> Self {
        Self { key: dropped.key.to_string(), created_at: text::known(dropped.created_at), layer: dropped.top }
    }
}

/// Dropped results that a table names.
const NAMED: usize = 10;

/// Dropped results as text.
pub(crate) fn dropped_lines(dropped: &[DroppedReport], now: Timestamp, all: bool) -> String {
    let mut text = String::new();
    let shown = if all { usize::MAX } else { NAMED };
    for result in dropped.iter().take(shown) {
        let line = format!("dropped  result of {}, {}", result.key, text::ago(result.created_at, now));
        let _ = writeln!(text, "{}", text::printable(&line));
    }
    if let Some(more) = dropped.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(text, "dropped  {more} more (-v lists them)");
    }
    text
}

/// A finding about a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingReport {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What is wrong, in one word.
    pub(crate) code: &'static str,
    /// The part of the cache that it is about.
    pub(crate) object: String,
    /// What is wrong, in words.
    pub(crate) message: String,
    /// The results that cannot be used because of it.
    pub(crate) breaks: Breaks,
    /// The keys of the records whose results need the object.
    pub(crate) affected: Vec<String>,
    /// Whether there are more than are named.
    pub(crate) affects_more: bool,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The part of a cache that a finding affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Breaks {
    /// All of it: BuildKit's import fails.
    Cache,
    /// The results that need the object.
    Results,
    /// Nothing.
    Nothing,
}

impl From<&Finding> for FindingReport {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: if finding.code.is_error() { Severity::Error } else { Severity::Warning },
            code: finding.code.as_str(),
            object: finding.object.clone(),
            message: finding.message.clone(),
            breaks: breaks(finding),
            affected: finding.affected.keys.iter().map(ToString::to_string).collect(),
            affects_more: finding.affected.has_more,
        }
    }
}

fn breaks(finding: &Finding) -> Breaks {
    use FindingCode as Code;
    match finding.code {
        Code::ConfigUnreadable
        | Code::ConfigTooLarge
        | Code::LinkOutOfRange
        | Code::RecordLoop
        | Code::InputEmpty
        | Code::LinkToRandom
        | Code::LayerOutOfRange
        | Code::LayerLoop
        | Code::HistoryTooShort => Breaks::Cache,
        code if code.is_error() => Breaks::Results,
        _ => Breaks::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let command = look_at(&["type=local,src=it's"], Some(Path::new("a b.rawjson")));
        assert_eq!(command, r"buildcache report 'type=local,src=it'\''s' --log 'a b.rawjson' -o report.html");
        let secret = look_at(&["type=s3,bucket=b,secret_access_key=hunter2"], None);
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}
