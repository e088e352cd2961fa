//! [`Tuning`]: how a backend deals with its server.

use crate::{Bounds, PartLimits, ReadAhead, RetryPolicy, Timeouts};

/// Timeouts, retries, bounds on what a server sends, and the parts in which blobs are sent and read. Clones share the
/// memory of parts.
///
/// ```
/// use cache_kit::{PartLimits, RetryPolicy, Tuning};
///
/// let tuning = Tuning::default().with_retry(RetryPolicy::never()).with_parts(PartLimits::new(5 << 20, 4));
/// assert_eq!(tuning.retry().attempts(), 1);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tuning {
    /// How long a server may take.
    pub(crate) timeouts: Timeouts,
    /// How often a request whose error may pass is tried again.
    pub(crate) retry: RetryPolicy,
    /// How much is taken from a server, and how slowly.
    pub(crate) bounds: Bounds,
    /// How blobs are cut for uploads, and how many parts are in memory at once over all uploads.
    pub(crate) parts: PartLimits,
    /// In which parts large blobs are read, and how many of them are in memory at once over all reads.
    pub(crate) read_ahead: ReadAhead,
}

impl Tuning {
    /// How long a server may take.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// How often a request whose error may pass is tried again.
    #[must_use]
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// How much is taken from a server, and how slowly.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How blobs are cut on their way up.
    #[must_use]
    pub fn parts(&self) -> &PartLimits {
        &self.parts
    }

    /// In which parts large blobs are read.
    #[must_use]
    pub fn read_ahead(&self) -> &ReadAhead {
        &self.read_ahead
    }

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
