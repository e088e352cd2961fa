//! [`Tuning`]: how a server is dealt with, said once for every backend.

use crate::{Bounds, PartLimits, ReadAhead, RetryPolicy, Timeouts};

/// How long a server may take, how often it is asked again, how much is taken from it, and in which parts blobs go and
/// come. Clones share the memory of parts.
///
/// ```
/// use cache_kit::RetryPolicy;
/// use cache_kit::{PartLimits, Tuning};
///
/// let tuning = Tuning::default().with_retry(RetryPolicy::never()).with_parts(PartLimits::new(5 << 20, 4));
/// assert_eq!(tuning.retry.attempts, 1);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tuning {
    /// How long a server may take.
    pub timeouts: Timeouts,
    /// How often a request is tried again whose answer says that it may help.
    pub retry: RetryPolicy,
    /// How much is taken from a server, and how slowly.
    pub bounds: Bounds,
    /// How blobs are cut on their way up, and how many parts are in memory at once over all uploads.
    pub parts: PartLimits,
    /// In which parts large blobs are read, and how many of them are in memory at once over all reads.
    pub read_ahead: ReadAhead,
}

impl Tuning {
    /// Changes how long a server may take.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Changes how often a request is tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Changes how much is taken from a server, and how slowly.
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Changes how blobs are cut on their way up.
    #[must_use]
    pub fn with_parts(self, parts: PartLimits) -> Self {
        Self { parts, ..self }
    }

    /// Changes in which parts large blobs are read.
    #[must_use]
    pub fn with_read_ahead(self, read_ahead: ReadAhead) -> Self {
        Self { read_ahead, ..self }
    }
}
