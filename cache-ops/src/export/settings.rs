//! How an export is run.

use std::sync::Arc;

use cache_core::seams::Silent;
use cache_core::{Expect, Progress};
use cache_kit::RetryPolicy;

/// How an export is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportSettings {
    /// How many blobs are pushed at once, without those that only
    /// [settle](cache_core::seams::ExporterFacts::settles_apart).
    pub(crate) concurrency: Concurrency,
    /// The condition of the commit.
    pub(crate) expect: Expect,
    /// How often a push with a retryable error is tried again; errors of both sides count.
    pub(crate) retry: RetryPolicy,
    /// Whether to push blobs that were present again after the commit.
    pub(crate) recheck: Recheck,
    /// Receives the events of the export.
    pub(crate) progress: Arc<dyn Progress>,
}

/// How many blobs are under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Concurrency {
    /// As many as fit 64 MiB together, at least 4. Small blobs: up to 64, as long as answers do not get slower. After a
    /// refusal (429, 503) half as many.
    #[default]
    Adaptive,
    /// This many.
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

/// Whether present blobs are pushed again after the commit, in case they were deleted in between.
///
/// A push of a present blob costs a request, so by default this is done only if needed.
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
    /// Adaptive concurrency, no condition for the commit, the default retries, and no progress.
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

    /// Commits only on the condition `expect`.
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
