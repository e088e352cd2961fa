//! [`PresenceChecks`]: whether to check for a blob before it is sent.

use std::sync::atomic::{AtomicUsize, Ordering};

/// After this many checks in a row that found nothing, blobs are sent without one.
const IN_VAIN: usize = 16;
/// The largest blob that is sent without a check: one that turns out to be present has then cost little.
pub(crate) const SMALL: u64 = 256 << 10;

/// What one exporter's checks for blobs have found.
///
/// A new place has none of the blobs, and a check for each of them would double the requests. A wrong guess costs one
/// request and the blob's bytes, 256 KiB at most.
#[derive(Debug)]
pub struct PresenceChecks {
    /// How many checks in a row found nothing.
    in_vain: AtomicUsize,
    /// How many blobs were sent without a check.
    skipped: AtomicUsize,
    is_told: bool,
}

impl PresenceChecks {
    /// For a store whose writes report that a blob existed: after 16 checks in vain, none is made until a write does.
    #[must_use]
    pub const fn told() -> Self {
        Self { in_vain: AtomicUsize::new(0), skipped: AtomicUsize::new(0), is_told: true }
    }

    /// For a store whose writes do not say that a blob was there: after 16 checks in vain, one blob in 16 is still
    /// checked for.
    #[must_use]
    pub const fn untold() -> Self {
        Self { is_told: false, ..Self::told() }
    }

    /// Whether to send a blob of this size without a check.
    #[must_use]
    pub fn can_skip(&self, size: u64) -> bool {
        if size > SMALL || self.in_vain.load(Ordering::Relaxed) < IN_VAIN {
            return false;
        }
        self.is_told || !self.skipped.fetch_add(1, Ordering::Relaxed).wrapping_add(1).is_multiple_of(IN_VAIN)
    }

    /// Records the outcome of a check; after a present blob, the next ones are checked for.
    pub fn saw(&self, is_there: bool) {
        if is_there {
            self.reset();
        } else {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checks for the next blobs.
    pub fn reset(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_in_vain_end_and_begin_again_after_one_that_finds_a_blob() {
        for (checks, skipped) in [(PresenceChecks::told(), 160), (PresenceChecks::untold(), 150)] {
            (0..IN_VAIN).for_each(|_| {
                assert!(!checks.can_skip(1));
                checks.saw(false);
            });
            assert_eq!((0..160).filter(|_| checks.can_skip(SMALL)).count(), skipped);
            assert!(!checks.can_skip(SMALL + 1), "a large blob is always checked for");
            checks.saw(true);
            assert!(!checks.can_skip(1));
        }
    }
}
