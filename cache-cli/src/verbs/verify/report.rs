//! `buildcache.verify/v1`

use std::fmt::Write as _;

use cache_core::{CacheManifest, Digest, Finding, Timestamp};
use cache_ops::{Depth, Shard, VerifyReport};
use serde::Serialize;

use crate::output::Report;
use crate::report::{Breaks, FindingReport, Severity, config_digest, digest_of};
use crate::text;

/// Affected records that a table names.
const NAMED: usize = 3;

/// What is wrong with a cache.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verification {
    /// What this document is.
    schema: &'static str,
    /// Whether nothing is wrong but for warnings.
    sound: bool,
    /// `deep`, or `fast` if no blob was read.
    depth: &'static str,
    /// The manifest.
    digest: Option<Digest>,
    /// What all parts of one cache have in common, whatever holds it.
    config_digest: Option<Digest>,
    /// Which part of the blobs was looked at.
    shard: String,
    /// How many blobs were looked at.
    blobs: usize,
    /// How many bytes were read.
    bytes: u64,
    /// How many findings are errors.
    errors: usize,
    /// How many findings are warnings.
    warnings: usize,
    /// What is wrong.
    pub(super) findings: Vec<FindingReport>,
}

impl Verification {
    pub(super) fn new(depth: Depth, shard: Shard, manifest: &CacheManifest, report: &VerifyReport) -> Self {
        let mut verification = Self::of_findings(depth, &report.findings);
        verification.digest = digest_of(manifest);
        verification.config_digest = Some(config_digest(manifest));
        verification.shard = shard.to_string();
        verification.blobs = report.blobs;
        verification.bytes = report.bytes;
        verification
    }

    /// A cache whose documents cannot be read.
    pub(super) fn of_unreadable(depth: Depth, findings: &[Finding]) -> Self {
        let mut verification = Self::of_findings(depth, findings);
        verification.findings.iter_mut().for_each(|finding| finding.breaks = Breaks::Cache);
        verification
    }

    fn of_findings(depth: Depth, findings: &[Finding]) -> Self {
        let findings: Vec<FindingReport> = findings.iter().map(FindingReport::from).collect();
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        Self {
            schema: "buildcache.verify/v1",
            sound: errors == 0,
            depth: if depth == Depth::Deep { "deep" } else { "fast" },
            digest: None,
            config_digest: None,
            shard: Shard::WHOLE.to_string(),
            blobs: 0,
            bytes: 0,
            errors,
            warnings: findings.len() - errors,
            findings,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }
}

impl Report for Verification {
    fn table(&self, _: Timestamp, all: bool) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let head = format!("{}  {}  {}", finding.severity.as_str(), finding.code, finding.object);
            let _ = writeln!(text, "{}\n  {}", text::printable(&head), text::printable(&finding.message));
            if let Some(affected) = affected(finding, if all { usize::MAX } else { NAMED }) {
                let _ = writeln!(text, "  {affected}");
            }
        }
        let verdict = if self.sound { "sound" } else { "not sound" };
        let counts = [(self.errors, "error"), (self.warnings, "warning")];
        let counts = counts.map(|(number, noun)| text::count(number, noun)).join(", ");
        let blobs = text::count(self.blobs, "blob");
        let blobs = if self.shard == "1/1" { blobs } else { format!("{blobs} of shard {}", self.shard) };
        let looked =
            if self.depth == "deep" { format!("{} read", text::size(self.bytes)) } else { "none read".to_owned() };
        let _ = writeln!(text, "{verdict}: {counts}; {blobs}, {looked}");
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}

/// What cannot be used because of a finding; names at most `limit` records.
fn affected(finding: &FindingReport, limit: usize) -> Option<String> {
    let keys = &finding.affected;
    match finding.breaks {
        Breaks::Nothing => return None,
        Breaks::Cache => return Some("the whole cache is unusable: BuildKit's import fails".to_owned()),
        Breaks::Results if keys.is_empty() => return Some("no result needs it".to_owned()),
        Breaks::Results => {}
    }
    let at_least = if finding.affects_more { "at least " } else { "" };
    let (count, named) = (text::count(keys.len(), "result"), keys[..keys.len().min(limit)].join(", "));
    let mut text = format!("{at_least}{count} cannot be used: {named}");
    if let Some(more) = keys.len().checked_sub(limit).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    Some(text::printable(&text))
}
