//! [`PruneSettings`]: retries, pace and progress of a prune.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use cache_kit::RetryPolicy;

use crate::LookEvent;

/// How a plan is made and carried out.
#[derive(Clone)]
#[non_exhaustive]
pub struct PruneSettings {
    /// How often a failed deletion is retried when its error is retryable.
    pub(crate) retry: RetryPolicy,
    /// How many blobs are deleted in a second at most; `None` for as many as the store takes.
    pub(crate) rate: Option<NonZeroU32>,
    /// Receives progress.
    pub(crate) progress: Arc<dyn Fn(&PruneEvent) + Send + Sync>,
}

impl Default for PruneSettings {
    /// The default retries and no limit, without progress.
    fn default() -> Self {
        Self { retry: RetryPolicy::default(), rate: None, progress: Arc::new(|_| {}) }
    }
}

impl PruneSettings {
    /// Sets how often a failed deletion is retried.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Deletes no more blobs in a second.
    #[must_use]
    pub fn with_rate(self, blobs: NonZeroU32) -> Self {
        Self { rate: Some(blobs), ..self }
    }

    /// Reports progress to `progress`.
    #[must_use]
    pub fn with_progress(self, progress: Arc<dyn Fn(&PruneEvent) + Send + Sync>) -> Self {
        Self { progress, ..self }
    }
}

impl fmt::Debug for PruneSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PruneSettings").field("retry", &self.retry).field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PruneEvent {
    /// The store is being read.
    Look(LookEvent),
    /// A cache was dealt with.
    Cache {
        /// Its name.
        name: Option<String>,
        /// Whether it was deleted; [`KeptCache::why`](crate::KeptCache::why) says why not.
        is_gone: bool,
    },
    /// A batch of blobs was dealt with.
    Blobs {
        /// How many blobs of the plan were dealt with so far.
        done: usize,
        /// How many of them are as they were planned.
        total: usize,
        /// How many bytes were deleted so far.
        bytes: u64,
    },
}
