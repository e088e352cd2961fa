//! How an export is run.

use std::sync::Arc;

use cache_core::seams::Silent;
use cache_core::{Expect, Progress};
use cache_kit::RetryPolicy;

/// How an export is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportSettings {
    /// How many blobs are pushed at once, without those that only [settle](cache_core::seams::ExporterFacts::settles_apart).
    pub concurrency: Concurrency,
    /// What the place has to hold.
    pub expect: Expect,
    /// How often a push with a retryable error is tried again; errors of both sides count.
    pub retry: RetryPolicy,
    /// Whether to push blobs that were present again after the commit.
    pub recheck: Recheck,
    /// Receives the events of the export.
    pub progress: Arc<dyn Progress>,
}

/// How many blobs are under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Concurrency {
    /// As many as have 64 MiB together, and no fewer than 4. Of small ones 64 at most, as long as answers take no longer; a
    /// store that refuses for now (429, 503) gets half as many.
    #[default]
    Adaptive,
    /// So many.
    Fixed(usize),
}

impl Concurrency {
    pub(super) const MOST: usize = 64;

    /// How many it can be at most.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Adaptive => Self::MOST,
            Self::Fixed(count) => count.max(1),
        }
    }
}

/// Whether blobs that were present are pushed once more after the commit, in case they went away in between.
///
/// A push of a blob that is there costs one request, so this is done where it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Recheck {
    /// If the exporter asks for it ([`needs_recheck`](cache_core::seams::ExporterFacts::needs_recheck)).
    #[default]
    WhereNeeded,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Default for ExportSettings {
    /// As many blobs at once as the store bears, whatever the place holds, the default retries, silently.
    fn default() -> Self {
        Self {
            concurrency: Concurrency::default(),
            expect: Expect::Any,
            retry: RetryPolicy::default(),
            recheck: Recheck::default(),
            progress: Arc::new(Silent),
        }
    }
}

impl ExportSettings {
    /// Sets how many blobs are pushed at once; at least one.
    #[must_use]
    pub fn with_concurrency(self, concurrency: usize) -> Self {
        Self { concurrency: Concurrency::Fixed(concurrency.max(1)), ..self }
    }

    /// Commits only if the place holds what `expect` says.
    #[must_use]
    pub fn with_expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// Sets how often a push is tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets whether to push present blobs again after the commit.
    #[must_use]
    pub fn with_recheck(self, recheck: Recheck) -> Self {
        Self { recheck, ..self }
    }

    /// Sends the events of the export to `progress`.
    #[must_use]
    pub fn with_progress(self, progress: Arc<dyn Progress>) -> Self {
        Self { progress, ..self }
    }
}

impl std::fmt::Debug for ExportSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportSettings")
            .field("concurrency", &self.concurrency)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}
