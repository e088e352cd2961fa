//! The outcome of a publish.

use std::time::Duration;

use cache_core::seams::ContributionName;
use cache_core::{CacheManifest, Error};

use crate::ExportReport;

/// The outcome of a publish.
#[derive(Debug)]
#[non_exhaustive]
pub struct Published {
    /// The cache of the place at the end.
    pub manifest: CacheManifest,
    /// What was pushed, and the last commit to the place; if another publisher did the merging, the commit of the
    /// contribution.
    pub export: ExportReport,
    /// How lost updates are prevented in this place.
    pub way: PublishWay,
    /// Old contributions that could not be deleted.
    pub leftovers: Option<Leftovers>,
}

/// Old contributions that a store does not delete.
#[derive(Debug)]
#[non_exhaustive]
pub struct Leftovers {
    /// Their names.
    pub names: Vec<ContributionName>,
    /// Why the first of them could not be deleted.
    pub error: Error,
}

/// How publishers avoid that one loses the records of another.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishWay {
    /// Commits are conditional: one happens only if the place is as it was read.
    Conditional,
    /// Each publisher writes its part next to the place. A later one deletes it when the cache of the place contains it.
    Contributions,
    /// A publisher checks the place right before its commit, waits after it, checks again, and writes again what is
    /// missing. Records are lost only if a commit takes longer than the wait.
    Timed {
        /// How long it waits after the commit.
        wait: Duration,
        /// Why contributions cannot be listed, in a store that has them.
        list: Option<Error>,
    },
}

impl Published {
    pub(super) fn new(manifest: CacheManifest, export: ExportReport, way: PublishWay) -> Self {
        Self { manifest, export, way, leftovers: None }
    }
}
