//! `buildcache.prune/v1`

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use cache_ops::{PlannedCache, PrunePlan, PruneReport, UnreadableName};
use serde::Serialize;

use super::file::{name, words, young};
use crate::output::Report;
use crate::text;

/// What was deleted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pruned {
    /// What this document is.
    schema: &'static str,
    /// The spec of the store.
    store: String,
    /// The caches that were deleted.
    caches: Vec<PlannedCache>,
    /// Caches of the plan that somebody else had deleted.
    gone_caches: Vec<PlannedCache>,
    /// Caches of the plan that stay.
    kept_caches: Vec<KeptCache>,
    /// What has a name, cannot be read, and stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableName>,
    /// None where the store cannot delete blobs.
    blobs: Option<usize>,
    /// The bytes of the blobs that were deleted.
    bytes: u64,
    /// Blobs of the plan that stay: they were written, refreshed or reached in between.
    kept_blobs: Vec<Digest>,
    /// Blobs that no cache reaches and that are younger than `--grace`, with their bytes.
    young_blobs: usize,
    /// Their bytes.
    young_bytes: u64,
    /// How young a blob is that stays, in seconds.
    grace_seconds: u64,
    /// What dead writers had left of uploads.
    uploads: usize,
    /// Why no blobs were deleted, and who deletes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A cache of the plan that stays.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct KeptCache {
    /// Its tag, name or scope.
    name: Option<String>,
    /// Why it stays.
    why: String,
}

impl Pruned {
    pub(super) fn new(store: String, plan: &PrunePlan, report: PruneReport) -> Self {
        let kept = report.kept_caches.into_iter().map(|kept| KeptCache { name: kept.cache.name, why: kept.why });
        Self {
            schema: "buildcache.prune/v1",
            store,
            caches: report.caches,
            gone_caches: report.gone_caches,
            kept_caches: kept.collect(),
            unreadable: plan.unreadable.clone(),
            blobs: plan.blobs.is_some().then_some(report.blobs),
            bytes: report.bytes,
            kept_blobs: report.kept_blobs,
            young_blobs: plan.young_blobs,
            young_bytes: plan.young_bytes,
            grace_seconds: plan.grace_seconds,
            uploads: report.uploads,
            note: report.note,
        }
    }
}

impl Report for Pruned {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let mut text = String::new();
        for cache in &self.caches {
            let _ = writeln!(text, "deleted cache {} ({})", text::printable(&name(cache)), words(cache.reason));
        }
        for cache in &self.gone_caches {
            let _ = writeln!(text, "cache {} was gone", text::printable(&name(cache)));
        }
        if let Some(blobs) = self.blobs {
            let _ = writeln!(text, "deleted {}, {}", text::count(blobs, "blob"), text::size(self.bytes));
        }
        if !self.kept_blobs.is_empty() {
            let count = text::count(self.kept_blobs.len(), "blob");
            let _ = writeln!(text, "kept {count}: written, refreshed or needed in between");
        }
        text.push_str(&young(self.young_blobs, self.young_bytes, self.grace_seconds));
        if self.uploads > 0 {
            let _ = writeln!(text, "deleted {} that nobody finished", text::count(self.uploads, "upload"));
        }
        if self.caches.is_empty() && self.gone_caches.is_empty() && self.blobs.is_none() {
            text.push_str(if self.kept_caches.is_empty() { "nothing to delete\n" } else { "nothing is deleted\n" });
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.caches.iter().filter_map(|cache| cache.digest).collect()
    }
}
