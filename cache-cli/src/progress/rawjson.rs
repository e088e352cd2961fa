//! Progress as one JSON object per line, for programs.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::meter::Meter;
use super::{Show, Step};

/// The shortest time between two reports of bytes. One for each piece would be thousands of lines for a gigabyte.
const BYTES_EVERY: Duration = Duration::from_millis(200);

/// Writes objects with the event's name under `event` and the time since the start under `elapsedMs`.
pub(super) struct RawJson {
    start: Instant,
    /// The time of the last report of bytes.
    told: Mutex<Option<Instant>>,
}

impl RawJson {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), told: Mutex::default() }
    }

    /// Whether to report bytes now: at most every [`BYTES_EVERY`].
    fn is_due(&self, now: Instant) -> bool {
        let Ok(mut told) = self.told.lock() else { return false };
        let is_due = told.is_none_or(|told| now.duration_since(told) >= BYTES_EVERY);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

impl Show for RawJson {
    fn show(&self, meter: &Meter, place: Option<&str>, step: &Step<'_>) {
        let now = Instant::now();
        if matches!(step, Step::Bytes { .. }) && !self.is_due(now) {
            return;
        }
        if let Some(mut object) = object(meter, step) {
            if let Some(place) = place {
                object["destination"] = json!(place);
            }
            object["elapsedMs"] = json!(u64::try_from(now.duration_since(self.start).as_millis()).unwrap_or(u64::MAX));
            let _ = writeln!(std::io::stderr().lock(), "{object}");
        }
    }

    /// Readers of the events can measure the time themselves.
    fn tick(&self, _: &mut Meter, _: Instant) {}
}

fn object(meter: &Meter, step: &Step<'_>) -> Option<Value> {
    Some(match step {
        Step::Started { task, blobs, bytes } => {
            json!({"event": "started", "task": task, "blobs": blobs, "bytes": bytes})
        }
        Step::BlobStarted { blob } => json!({"event": "blob-started", "digest": blob.digest, "size": blob.size}),
        Step::Bytes { .. } => json!({"event": "bytes", "done": meter.bytes_done, "total": meter.bytes}),
        Step::BlobDone { blob, how } => json!({
            "event": "blob-done", "digest": blob.digest, "size": blob.size, "how": how,
            "done": meter.blobs_done, "total": meter.blobs,
        }),
        Step::Converting { blob, to } => {
            json!({"event": "converting", "digest": blob.digest, "size": blob.size, "to": to})
        }
        Step::Converted { blob, into } => json!({
            "event": "converted", "digest": blob.digest, "into": into.digest, "size": into.size,
        }),
        Step::Retrying { error, seconds } => json!({"event": "retrying", "error": error, "seconds": seconds}),
        Step::Committing => json!({"event": "committing"}),
        Step::Committed { manifest } => {
            json!({"event": "committed", "digest": manifest.map(|manifest| manifest.digest)})
        }
        Step::Note(text) => json!({"event": "note", "message": text}),
        Step::Warning(text) => json!({"event": "warning", "message": text}),
        Step::Finished => return None,
    })
}

#[cfg(test)]
mod tests {
    use cache_core::{Descriptor, MediaType};

    use super::*;

    #[test]
    fn bytes_are_reported_at_most_every_200_ms() {
        let shown = RawJson::new();
        let start = Instant::now();
        assert!(shown.is_due(start));
        assert!(!shown.is_due(start + BYTES_EVERY / 2));
        assert!(shown.is_due(start + BYTES_EVERY));
    }

    #[test]
    fn every_object_names_its_event() {
        let blob = Descriptor::of(MediaType::OCI_LAYER, b"a");
        let steps = [
            Step::Started { task: "copy", blobs: 1, bytes: 1 },
            Step::BlobStarted { blob: &blob },
            Step::Bytes { blob: blob.digest, bytes: 1 },
            Step::BlobDone { blob: &blob, how: "uploaded" },
            Step::Committed { manifest: None },
            Step::Warning("w"),
        ];
        let names: Vec<Value> =
            steps.iter().map(|step| object(&Meter::default(), step).unwrap()["event"].clone()).collect();
        assert_eq!(names, ["started", "blob-started", "bytes", "blob-done", "committed", "warning"]);
    }
}
