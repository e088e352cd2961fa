//! What an export did.

use std::collections::BTreeMap;

use cache_core::seams::Committed;
use cache_core::{Digest, Pushed};

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// How many blobs were made present, by the way it was done.
    pub pushed: BTreeMap<&'static str, usize>,
    /// Bytes that were handed to the place, each counted once however often it was sent; those of present blobs are not.
    pub bytes: u64,
    /// The blobs that the place could neither take nor show ([`ErrorKind::Locked`](cache_core::ErrorKind::Locked)); the
    /// results that need them are not in the cache that was written.
    pub left_out: Vec<Digest>,
    /// The outcome of the commit; `None` where no result is left.
    pub committed: Committed,
}

impl ExportReport {
    /// How many blobs were made present by `means`.
    #[must_use]
    pub fn count(&self, means: Pushed) -> usize {
        self.pushed.get(means.name()).copied().unwrap_or(0)
    }
}
