//! `buildcache.repair/v1`

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use cache_ops::{CacheSizes, CopyReport, Repaired};
use serde::Serialize;

use crate::output::Report;
use crate::report::{BlobReport, Breaks, DroppedReport, FindingReport, SizesReport, digest_of, dropped_lines};
use crate::text;
use crate::verbs::rewrite::Rewrite;

/// What was wrong with a cache, and what is left of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repair {
    /// What this document is.
    schema: &'static str,
    /// The spec that is read.
    cache: String,
    /// The spec that is written; the same in place.
    destination: String,
    /// What came of it.
    status: Status,
    /// The cache that takes the place of one that cannot be read, and when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Instead>,
    /// What was wrong.
    findings: Vec<FindingReport>,
    /// Descriptors that were mended.
    mended: Vec<Mended>,
    /// Results that had to go.
    dropped: Vec<DroppedReport>,
    /// Keys of records that had to go.
    dropped_records: Vec<String>,
    /// The sizes of the damaged cache.
    before: SizesReport,
    /// The sizes of the sound one.
    after: SizesReport,
    /// What was committed.
    manifest: Option<BlobReport>,
    #[serde(skip)]
    digest: Option<Digest>,
    #[serde(skip)]
    is_written: bool,
}

/// The outcome for one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// Nothing was wrong.
    Sound,
    /// What is sound was written.
    Repaired,
    /// Nothing was written, because that was asked for.
    DryRun,
}

/// A cache to which no name led.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Instead {
    /// Its manifest.
    digest: Option<Digest>,
    /// When it was written.
    modified: Option<Timestamp>,
}

/// A blob whose descriptor was mended.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Mended {
    /// The blob as its descriptor is now.
    blob: BlobReport,
    /// What was wrong with the descriptor.
    codes: Vec<&'static str>,
}

impl Repair {
    pub(super) fn new(rewrite: &Rewrite, status: Status, repaired: &Repaired, written: Option<&CopyReport>) -> Self {
        let mended = |mended: &cache_ops::MendedBlob| Mended {
            blob: BlobReport::from(&mended.descriptor),
            codes: mended.codes.iter().map(|code| code.as_str()).collect(),
        };
        let manifest = written.and_then(|written| written.export.committed.descriptor.as_ref()).map(BlobReport::from);
        let own = if written.is_none() { digest_of(rewrite.manifest()) } else { None };
        Self {
            schema: "buildcache.repair/v1",
            cache: rewrite.source.spec.to_string(),
            destination: rewrite.destination().to_string(),
            status,
            instead: rewrite.instead.as_ref().map(|(entry, _)| Instead {
                digest: entry.descriptor.as_ref().map(|manifest| manifest.digest),
                modified: entry.modified,
            }),
            findings: unreadable(rewrite).chain(repaired.findings.iter().map(FindingReport::from)).collect(),
            mended: repaired.mended.iter().map(mended).collect(),
            dropped: repaired.dropped.iter().map(DroppedReport::from).collect(),
            dropped_records: repaired.dropped_records.iter().map(ToString::to_string).collect(),
            before: CacheSizes::of(rewrite.manifest()).into(),
            after: CacheSizes::of(&repaired.manifest).into(),
            digest: manifest.as_ref().map(|manifest| manifest.digest).or(own),
            manifest,
            is_written: written.is_some(),
        }
    }
}

/// What was wrong with the cache that is replaced by another one.
fn unreadable(rewrite: &Rewrite) -> impl Iterator<Item = FindingReport> {
    let findings = rewrite.instead.iter().flat_map(|(_, findings)| findings);
    findings.map(|finding| FindingReport { breaks: Breaks::Cache, ..FindingReport::from(finding) })
}

impl Report for Repair {
    fn table(&self, now: Timestamp, all: bool) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let head = format!("{}  {}  {}", finding.severity.as_str(), finding.code, finding.object);
            let _ = writeln!(text, "{}\n  {}", text::printable(&head), text::printable(&finding.message));
        }
        if let Some(instead) = &self.instead {
            let digest = instead.digest.map(|digest| digest.to_string()).unwrap_or_default();
            let written = text::time_and_age(instead.modified, now);
            let _ = writeln!(text, "found    cache {digest}, which has no name, written {written}");
        }
        for mended in &self.mended {
            let _ = writeln!(text, "mended   blob {}: {}", mended.blob.digest, mended.codes.join(", "));
        }
        text.push_str(&dropped_lines(&self.dropped, now, all));
        let (before, after) = (&self.before, &self.after);
        let _ = match self.status {
            Status::Sound if self.is_written => {
                let digest = self.digest.map(|digest| format!("{digest} ")).unwrap_or_default();
                writeln!(text, "sound: written {digest}to {} as it is", text::printable(&self.destination))
            }
            Status::Sound => writeln!(text, "sound: nothing to repair"),
            status => writeln!(
                text,
                "{}: {} of {} results, {} of {} records, {} of {} layers",
                if status == Status::DryRun { "would keep" } else { "kept" },
                after.results,
                before.results,
                after.records,
                before.records,
                after.layers,
                before.layers,
            ),
        };
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}
