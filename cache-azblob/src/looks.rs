//! [`Looks`]: whether to look for a blob before it is sent.

use std::sync::atomic::{AtomicUsize, Ordering};

/// After so many looks in a row that found nothing, blobs are sent without one.
const IN_VAIN: usize = 16;
/// Up to so many bytes a blob is sent without a look: one that turns out to be there has then cost little.
const SMALL: u64 = 256 << 10;

/// What the looks of one exporter found.
///
/// A new cache in a new container has no blob, and to look for each of them would double the requests. A write is on
/// condition that the blob is not there, so a wrong guess costs a request and the blob's bytes, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// How many in a row found nothing.
    in_vain: AtomicUsize,
}

impl Looks {
    /// Whether a blob of this size is most likely not there, and small enough to try.
    pub(crate) fn can_skip(&self, size: u64) -> bool {
        size <= SMALL && self.in_vain.load(Ordering::Relaxed) >= IN_VAIN
    }

    /// Takes note of a look; where one blob is there, the next ones are looked for.
    pub(crate) fn saw(&self, is_there: bool) {
        if is_there {
            self.reset();
        } else {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks for the next blobs.
    pub(crate) fn reset(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
    }
}
