//! How far the work is, in blobs and bytes.

use std::collections::HashMap;

use cache_core::Digest;

use super::Step;

/// Counts steps, those of all tasks that are under way together. A blob that is read again after a failure counts once;
/// bytes that need not move are taken off the total, so that a rate is that of moved bytes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    task: String,
    tasks: usize,
    pub(super) blobs: usize,
    pub(super) blobs_done: usize,
    pub(super) bytes: u64,
    pub(super) bytes_done: u64,
    open: HashMap<Digest, Open>,
}

/// A blob that is being worked on, by one task or several.
#[derive(Debug, Default)]
struct Open {
    tasks: usize,
    size: u64,
    seen: u64,
}

impl Meter {
    pub(super) fn count(&mut self, step: &Step<'_>) {
        match step {
            Step::Started { task, blobs, bytes } => {
                if self.tasks == 0 {
                    (*task).clone_into(&mut self.task);
                }
                self.tasks += 1;
                self.blobs += blobs;
                self.bytes = self.bytes.saturating_add(*bytes);
            }
            Step::BlobStarted { blob } => {
                let open = self.open.entry(blob.digest).or_default();
                open.tasks += 1;
                open.size = open.size.saturating_add(blob.size);
            }
            Step::Bytes { blob, bytes } => self.advance(blob, *bytes),
            Step::BlobDone { blob, .. } => self.close(&blob.digest),
            Step::Converted { blob, into } => {
                self.bytes = self.bytes.saturating_sub(blob.size).saturating_add(into.size);
            }
            Step::Finished => *self = Self::default(),
            _ => {}
        }
    }

    /// Whether every blob of every task is done.
    pub(super) fn is_done(&self) -> bool {
        self.blobs_done >= self.blobs
    }

    /// What is being done, in words.
    pub(super) fn task(&self) -> String {
        match self.tasks {
            0 | 1 => self.task.clone(),
            many => format!("{} and {} more", self.task, many - 1),
        }
    }

    fn advance(&mut self, blob: &Digest, bytes: u64) {
        let Some(open) = self.open.get_mut(blob) else { return };
        let seen = open.seen.saturating_add(bytes).min(open.size);
        self.bytes_done += seen - open.seen;
        open.seen = seen;
    }

    fn close(&mut self, blob: &Digest) {
        let Some(open) = self.open.get_mut(blob) else { return };
        self.blobs_done += 1;
        open.tasks = open.tasks.saturating_sub(1);
        if open.tasks == 0 {
            self.bytes = self.bytes.saturating_sub(open.size - open.seen);
            self.open.remove(blob);
        }
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

    #[test]
    fn tasks_that_are_under_way_together_are_counted_together() {
        let blob = Descriptor::of(MediaType::OCI_LAYER, &[1; 100]);
        let mut meter = Meter::default();
        for task in ["copy to a", "copy to b"] {
            meter.count(&Step::Started { task, blobs: 1, bytes: 100 });
            meter.count(&Step::BlobStarted { blob: &blob });
        }
        assert_eq!((meter.task(), meter.bytes), ("copy to a and 1 more".to_owned(), 200));
        meter.count(&Step::Bytes { blob: blob.digest, bytes: 100 });
        for _ in 0..2 {
            meter.count(&Step::BlobDone { blob: &blob, how: "uploaded" });
        }
        assert_eq!((meter.bytes_done, meter.bytes, meter.blobs_done), (100, 100, 2));
        meter.count(&Step::Finished);
        assert_eq!((meter.task(), meter.bytes), (String::new(), 0));
    }
}
