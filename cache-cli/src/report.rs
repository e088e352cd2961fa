//! The parts that several JSON documents share.

use cache_core::{CacheManifest, Descriptor, Digest, Finding, FindingCode, MediaType};
use serde::Serialize;

/// A document or blob: what OCI calls a descriptor, without its annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlobReport {
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl From<&Descriptor> for BlobReport {
    fn from(blob: &Descriptor) -> Self {
        Self { media_type: blob.media_type.clone(), digest: blob.digest, size: blob.size }
    }
}

/// The digest that names a cache: its manifest's, its only image's, or that of an index that has no manifest around it.
pub(crate) fn digest_of(manifest: &CacheManifest) -> Option<Digest> {
    match (manifest.raw_manifest(), manifest.inline_images()) {
        (Some(document), _) => Some(document.descriptor.digest),
        (None, [image]) => Some(image.manifest),
        (None, _) => manifest.raw_config().map(|config| config.descriptor.digest),
    }
}

/// Something that is wrong with a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingReport {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) object: String,
    pub(crate) message: String,
    /// What cannot be used because of it.
    pub(crate) breaks: Breaks,
    /// The keys of the records whose results need the object.
    pub(crate) affected: Vec<String>,
    /// Whether there are more than are named.
    pub(crate) affects_more: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// How much of a cache a finding makes useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
            affected: finding.affected.iter().map(ToString::to_string).collect(),
            affects_more: finding.affects_more,
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
