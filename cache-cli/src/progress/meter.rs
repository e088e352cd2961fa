//! The progress of the work, in blobs and bytes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cache_core::Digest;

use super::Step;

/// The longest time without a line about a blob under way.
const SILENCE: Duration = Duration::from_secs(10);

/// Counts the steps of all tasks under way. A blob that is read again after a failure counts once. Bytes that need not
/// be moved leave the total, so that a rate is that of moved bytes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    task: String,
    tasks: usize,
    pub(super) blobs: usize,
    pub(super) blobs_done: usize,
    pub(super) bytes: u64,
    pub(super) bytes_done: u64,
    /// The last call that failed and was repeated.
    pub(super) last_failure: Option<String>,
    open: HashMap<Digest, Open>,
}

/// A blob under way, in one or more tasks.
#[derive(Debug)]
struct Open {
    tasks: usize,
    size: u64,
    seen: u64,
    /// When it was last reported, and its bytes at that time.
    told: (Instant, u64),
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) blob: Digest,
    pub(super) done: u64,
    pub(super) size: u64,
    /// Bytes per second since it was last reported.
    pub(super) rate: u64,
}

impl Meter {
    pub(super) fn count(&mut self, step: &Step<'_>, now: Instant) {
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
                let begun = || Open { tasks: 0, size: 0, seen: 0, told: (now, 0) };
                let open = self.open.entry(blob.digest).or_insert_with(begun);
                open.tasks += 1;
                open.size = open.size.saturating_add(blob.size);
            }
            Step::Bytes { blob, bytes } => self.advance(blob, *bytes),
            Step::BlobDone { blob, .. } => self.close(&blob.digest),
            Step::Converted { blob, into } => {
                self.bytes = self.bytes.saturating_sub(blob.size).saturating_add(into.size);
            }
            Step::Retrying { error, .. } => self.last_failure = Some((*error).to_owned()),
            Step::Finished => *self = Self { last_failure: self.last_failure.take(), ..Self::default() },
            _ => {}
        }
    }

    /// Returns the blobs that were not reported for [`SILENCE`], and counts them as reported now.
    pub(super) fn under_way(&mut self, now: Instant) -> Vec<UnderWay> {
        let mut found = Vec::new();
        for (blob, open) in &mut self.open {
            let (told, before) = open.told;
            let silence = now.saturating_duration_since(told);
            if silence >= SILENCE {
                open.told = (now, open.seen);
                let rate = open.seen.saturating_sub(before) / silence.as_secs().max(1);
                found.push(UnderWay { blob: *blob, done: open.seen, size: open.size, rate });
            }
        }
        found.sort_unstable_by_key(|under_way| under_way.blob);
        found
    }

    /// Whether every blob of every task is done.
    pub(super) fn is_done(&self) -> bool {
        self.blobs_done >= self.blobs
    }

    /// A description of the work.
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

    fn count(meter: &mut Meter, step: &Step<'_>) {
        meter.count(step, Instant::now());
    }

    #[test]
    fn a_blob_that_takes_long_is_reported_every_ten_seconds() {
        let blob = Descriptor { size: 4_000, ..Descriptor::of(MediaType::OCI_LAYER, b"x") };
        let (mut meter, start) = (Meter::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        meter.count(&Step::BlobStarted { blob: &blob }, start);
        meter.count(&Step::Bytes { blob: blob.digest, bytes: 1_000 }, after(1));
        assert_eq!(meter.under_way(after(9)), []);
        let told = |done, rate| [UnderWay { blob: blob.digest, done, size: 4_000, rate }];
        assert_eq!(meter.under_way(after(10)), told(1_000, 100));
        assert_eq!(meter.under_way(after(19)), []);
        // Nothing has moved, which is worth a line too.
        assert_eq!(meter.under_way(after(20)), told(1_000, 0));
        meter.count(&Step::BlobDone { blob: &blob, how: "uploaded" }, after(21));
        assert_eq!(meter.under_way(after(60)), []);
    }

    #[test]
    fn a_blob_counts_once_and_what_need_not_move_leaves_the_total() {
        let moved = Descriptor::of(MediaType::OCI_LAYER, &[1; 100]);
        let present = Descriptor::of(MediaType::OCI_LAYER, &[2; 50]);
        let mut meter = Meter::default();
        count(&mut meter, &Step::Started { task: "copy", blobs: 2, bytes: 150 });
        for blob in [&moved, &present] {
            count(&mut meter, &Step::BlobStarted { blob });
        }
        for _ in 0..3 {
            count(&mut meter, &Step::Bytes { blob: moved.digest, bytes: 60 });
        }
        assert_eq!((meter.bytes_done, meter.bytes), (100, 150));
        for blob in [&moved, &present, &present] {
            count(&mut meter, &Step::BlobDone { blob, how: "uploaded" });
        }
        assert_eq!((meter.bytes_done, meter.bytes, meter.blobs_done), (100, 100, 2));
    }

    #[test]
    fn tasks_that_are_under_way_together_are_counted_together() {
        let blob = Descriptor::of(MediaType::OCI_LAYER, &[1; 100]);
        let mut meter = Meter::default();
        for task in ["copy to a", "copy to b"] {
            count(&mut meter, &Step::Started { task, blobs: 1, bytes: 100 });
            count(&mut meter, &Step::BlobStarted { blob: &blob });
        }
        assert_eq!((meter.task(), meter.bytes), ("copy to a and 1 more".to_owned(), 200));
        count(&mut meter, &Step::Bytes { blob: blob.digest, bytes: 100 });
        for _ in 0..2 {
            count(&mut meter, &Step::BlobDone { blob: &blob, how: "uploaded" });
        }
        assert_eq!((meter.bytes_done, meter.bytes, meter.blobs_done), (100, 100, 2));
        count(&mut meter, &Step::Finished);
        assert_eq!((meter.task(), meter.bytes), (String::new(), 0));
    }
}
