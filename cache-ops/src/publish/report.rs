//! What a publish did.

use std::time::Duration;

use cache_core::seams::ContributionName;
use cache_core::{CacheManifest, Error};

use crate::ExportReport;

/// What a publish did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Published {
    /// The cache that the place held at the end.
    pub manifest: CacheManifest,
    /// What was pushed, and the last commit to the place; where others did the merging, that of the contribution.
    pub export: ExportReport,
    /// How publishers keep from losing each other's records here.
    pub way: PublishWay,
    /// Old contributions that the store does not let go, and what it said about it.
    pub leftovers: Option<(Vec<ContributionName>, Error)>,
}

/// How publishers keep from losing each other's records.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishWay {
    /// The store commits only if the place is as it was read.
    Conditional,
    /// Each publisher leaves what it adds next to the place until the place has it.
    Contributions,
    /// A publisher looks right before its commit, waits so long after it, and writes again what it does not find then.
    /// What is published at the same time is lost only where a commit takes longer than that.
    Timed {
        /// How long it waits.
        wait: Duration,
        /// Why what others contribute cannot be listed, in a store that keeps contributions.
        list: Option<Error>,
    },
}

impl Published {
    pub(super) fn new(manifest: CacheManifest, export: ExportReport, way: PublishWay) -> Self {
        Self { manifest, export, way, leftovers: None }
    }
}
