//! How far the work is, in blobs and bytes.

use std::collections::HashMap;

use cache_core::Digest;

use super::Step;

/// Counts steps. A blob that is read again after a failure counts once; bytes that need not move are taken off the
/// total, so that a rate is that of moved bytes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(super) task: String,
    pub(super) blobs: usize,
    pub(super) blobs_done: usize,
    pub(super) bytes: u64,
    pub(super) bytes_done: u64,
    open: HashMap<Digest, Open>,
}

/// A blob that is being worked on.
#[derive(Debug)]
struct Open {
    size: u64,
    seen: u64,
}

impl Meter {
    pub(super) fn count(&mut self, step: &Step<'_>) {
        match step {
            Step::Started { task, blobs, bytes } => {
                *self = Self { task: (*task).to_owned(), blobs: *blobs, bytes: *bytes, ..Self::default() };
            }
            Step::BlobStarted { blob } => {
                self.open.entry(blob.digest).or_insert(Open { size: blob.size, seen: 0 });
            }
            Step::Bytes { blob, bytes } => self.advance(blob, *bytes),
            Step::BlobDone { blob, .. } => self.close(&blob.digest),
            _ => {}
        }
    }

    fn advance(&mut self, blob: &Digest, bytes: u64) {
        let Some(open) = self.open.get_mut(blob) else { return };
        let seen = open.seen.saturating_add(bytes).min(open.size);
        self.bytes_done += seen - open.seen;
        open.seen = seen;
    }

    fn close(&mut self, blob: &Digest) {
        let Some(open) = self.open.remove(blob) else { return };
        self.blobs_done += 1;
        self.bytes = self.bytes.saturating_sub(open.size - open.seen);
    }
}

#[cfg(test)]
mod tests {
    use cache_core::{Descriptor, MediaType};

    use super::*;

    #[test]
    fn a_blob_counts_once_and_what_need_not_move_leaves_the_total() {
        let moved = Descriptor::of(MediaType::OCI_LAYER, &[1; 100]);
        let present = Descriptor::of(MediaType::OCI_LAYER, &[2; 50]);
        let mut meter = Meter::default();
        meter.count(&Step::Started { task: "copy", blobs: 2, bytes: 150 });
        for blob in [&moved, &present] {
            meter.count(&Step::BlobStarted { blob });
        }
        for _ in 0..3 {
            meter.count(&Step::Bytes { blob: moved.digest, bytes: 60 });
        }
        assert_eq!((meter.bytes_done, meter.bytes), (100, 150));
        for blob in [&moved, &present, &present] {
            meter.count(&Step::BlobDone { blob, how: "uploaded" });
        }
        assert_eq!((meter.bytes_done, meter.bytes, meter.blobs_done), (100, 100, 2));
    }
}
