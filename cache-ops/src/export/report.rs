//! [`ExportReport`]: the outcome of an export.

use std::collections::BTreeMap;

use cache_core::seams::Committed;
use cache_core::{Digest, Pushed};

/// The outcome of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// How many blobs were made present, by outcome of their push.
    pub pushed: BTreeMap<&'static str, usize>,
    /// Bytes that were sent to the place, each counted once however often it was sent; present blobs do not count.
    pub bytes: u64,
    /// The blobs that the place could neither store nor return ([`ErrorKind::Locked`](cache_core::ErrorKind::Locked));
    /// the results that need them were left out of the written cache.
    pub left_out: Vec<Digest>,
    /// The outcome of the commit; nothing was written if no result was left.
    pub committed: Committed,
}

impl ExportReport {
    /// How many blobs were made present by `means`.
    #[must_use]
    pub fn count(&self, means: Pushed) -> usize {
        self.pushed.get(means.name()).copied().unwrap_or(0)
    }
}
