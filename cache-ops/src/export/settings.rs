//! How an export is run.

use std::sync::Arc;

use cache_core::{Expect, Progress, RetryPolicy, Silent};

/// How an export is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportSettings {
    /// How many blobs are pushed at once, without those that only [settle](cache_core::ExporterFacts::settles_apart).
    pub concurrency: usize,
    /// What the place has to hold.
    pub expect: Expect,
    /// How often a push is tried again whose error says that it may help; both sides' errors count.
    pub retry: RetryPolicy,
    /// When to look again at what the place already had.
    pub recheck: Recheck,
    /// Who is told what happens.
    pub progress: Arc<dyn Progress>,
}

/// Whether blobs that were present are pushed once more after the commit, in case they went away in between.
///
/// A push of a blob that is there costs one request, so this is done where it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Recheck {
    /// Where the place says that its commit does not notice ([`needs_recheck`](cache_core::ExporterFacts::needs_recheck)).
    #[default]
    WhereNeeded,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Default for ExportSettings {
    /// 4 blobs at once, whatever the place holds, the default retries, silently.
    fn default() -> Self {
        Self {
            concurrency: 4,
            expect: Expect::Any,
            retry: RetryPolicy::default(),
            recheck: Recheck::default(),
            progress: Arc::new(Silent),
        }
    }
}

impl ExportSettings {
    /// Changes how many blobs are pushed at once; at least one.
    #[must_use]
    pub fn with_concurrency(self, concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), ..self }
    }

    /// Commits only if the place holds what `expect` says.
    #[must_use]
    pub fn with_expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// Changes how often a push is tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Changes when to look again at what the place already had.
    #[must_use]
    pub fn with_recheck(self, recheck: Recheck) -> Self {
        Self { recheck, ..self }
    }

    /// Tells `progress` what happens.
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
