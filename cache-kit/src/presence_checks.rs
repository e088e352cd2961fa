//! [`PresenceChecks`]: whether to check for a blob before it is sent.

use std::sync::atomic::{AtomicUsize, Ordering};

/// After this many checks in a row that found nothing, blobs are sent without one.
const IN_VAIN: usize = 16;
/// The largest blob that is sent without a check: one that turns out to be present has then cost little.
pub(crate) const SMALL: u64 = 256 << 10;

/// What the looks of one exporter found.
///
/// A new cache in a new place has no blob, and to look for each of them would double the requests. A wrong guess costs a
/// request and the blob's bytes, 256 KiB at most, and nothing else.
#[derive(Debug)]
pub struct PresenceChecks {
    /// How many checks in a row found nothing.
    in_vain: AtomicUsize,
    /// How many were done without.
    skipped: AtomicUsize,
    is_told: bool,
}

impl PresenceChecks {
    /// PresenceChecks at a store whose writes say that a blob was there: 16 looks in vain are believed until it says so.
    #[must_use]
    pub const fn told() -> Self {
        Self { in_vain: AtomicUsize::new(0), skipped: AtomicUsize::new(0), is_told: true }
    }

    /// PresenceChecks at a store that writes whatever is there: one blob in 16 is looked for all the same.
    #[must_use]
    pub const fn untold() -> Self {
        Self { is_told: false, ..Self::told() }
    }

    /// Whether a blob of this size is most likely not there, and small enough to try.
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
    fn looks_in_vain_end_and_begin_again_where_one_is_not() {
        for (looks, skipped) in [(PresenceChecks::told(), 160), (PresenceChecks::untold(), 150)] {
            (0..IN_VAIN).for_each(|_| {
                assert!(!looks.can_skip(1));
                looks.saw(false);
            });
            assert_eq!((0..160).filter(|_| looks.can_skip(SMALL)).count(), skipped);
            assert!(!looks.can_skip(SMALL + 1), "what is large is looked for");
            looks.saw(true);
            assert!(!looks.can_skip(1));
        }
    }
}
