//! `buildcache.rm/v1`

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use serde::Serialize;

use super::plan::Plan;
use crate::output::Report;
use crate::text;

/// What was deleted, or would be.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Removal {
    /// What this document is.
    schema: &'static str,
    /// Whether nothing was deleted, because that was asked for.
    dry_run: bool,
    #[serde(skip)]
    label: String,
    /// Whether blobs were to go too.
    #[serde(skip)]
    with_blobs: bool,
    /// The name that was deleted.
    name: Option<String>,
    /// The manifest that it led to.
    digest: Option<Digest>,
    /// The blobs that were deleted.
    blobs: Vec<RemovedBlob>,
    /// Their bytes.
    bytes: u64,
    /// Blobs that somebody wrote or refreshed in between; they stay.
    kept: Vec<Digest>,
}

/// One blob.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RemovedBlob {
    /// The blob.
    digest: Digest,
    /// Its size in bytes.
    size: u64,
}

impl Removal {
    /// The report of the cache alone; blobs are added as they are deleted.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            schema: "buildcache.rm/v1",
            dry_run: false,
            label: plan.label(),
            with_blobs: plan.blobs.is_some(),
            name: plan.entry.name.clone(),
            digest: plan.digest(),
            blobs: Vec::new(),
            bytes: 0,
            kept: Vec::new(),
        }
    }

    pub(super) fn dry_run(plan: &Plan) -> Self {
        let mut removal = Self { dry_run: true, ..Self::new(plan) };
        let blobs = plan.blobs.as_ref().map(|blobs| blobs.iter().map(|(blob, size)| (*blob, size)));
        blobs.into_iter().flatten().for_each(|(blob, size)| removal.add(blob, size));
        removal
    }

    pub(super) fn add(&mut self, digest: Digest, size: u64) {
        self.blobs.push(RemovedBlob { digest, size });
        self.bytes = self.bytes.saturating_add(size);
    }

    pub(super) fn keep(&mut self, digest: Digest) {
        self.kept.push(digest);
    }
}

impl Report for Removal {
    fn table(&self, _: Timestamp, all: bool) -> String {
        let verb = if self.dry_run { "would delete" } else { "deleted" };
        let mut text = format!("{verb} {}\n", text::printable(&self.label));
        if !self.blobs.is_empty() {
            let (count, size) = (text::count(self.blobs.len(), "blob"), text::size(self.bytes));
            let _ = writeln!(text, "{verb} {count}, {size}");
        }
        if self.with_blobs && self.blobs.is_empty() && self.kept.is_empty() {
            text.push_str("no blob is deleted: other caches reach all of them\n");
        }
        for blob in self.blobs.iter().filter(|_| all || self.dry_run) {
            let _ = writeln!(text, "  {}  {}", blob.digest, text::size(blob.size));
        }
        for digest in &self.kept {
            let _ = writeln!(text, "kept {digest}: it, or a cache beside it, was written in between");
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}
