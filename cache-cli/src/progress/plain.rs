//! Progress as lines, for logs.

use std::time::Instant;

use super::meter::{Meter, UnderWay};
use super::{Show, Step, at};
use crate::{messages, text};

/// A line for each blob that is done; with `verbose`, also one when it starts.
pub(super) struct Plain {
    pub(super) verbose: bool,
}

impl Show for Plain {
    fn show(&self, meter: &Meter, place: Option<&str>, step: &Step<'_>) {
        if let Some(line) = line(meter, step, self.verbose) {
            // The text of the task names the place already.
            let place = place.filter(|_| !matches!(step, Step::Started { .. }));
            messages::line(&at(place, &line));
        }
    }

    fn tick(&self, meter: &mut Meter, now: Instant) {
        meter.under_way(now).iter().for_each(|blob| messages::line(&under_way(blob)));
    }
}

fn under_way(UnderWay { blob, done, size, rate }: &UnderWay) -> String {
    format!("{blob} {} of {}, {}/s", text::size(*done), text::size(*size), text::size(*rate))
}

fn line(meter: &Meter, step: &Step<'_>, verbose: bool) -> Option<String> {
    Some(match step {
        Step::Started { task, blobs, bytes } => {
            format!("{task}: {}, {}", text::count(*blobs, "blob"), text::size(*bytes))
        }
        Step::BlobStarted { blob } if verbose => format!("{} {} begins", blob.digest, text::size(blob.size)),
        Step::BlobDone { blob, how } => {
            let (done, all) = (meter.blobs_done, meter.blobs);
            format!("[{done}/{all}] {} {} {how}", blob.digest, text::size(blob.size))
        }
        Step::Converting { blob, to } if verbose => {
            format!("{} {} is converted to {to}", blob.digest, text::size(blob.size))
        }
        Step::Converted { blob, into } => {
            let sizes = (text::size(blob.size), text::size(into.size));
            format!("{} {} became {} {}", blob.digest, sizes.0, into.digest, sizes.1)
        }
        Step::Retrying { error, seconds } => format!("trying again in {seconds:.1}s: {error}"),
        Step::Committing if verbose => "writing the manifest".to_owned(),
        Step::Committed { manifest: Some(manifest) } if verbose => format!("manifest {} is written", manifest.digest),
        Step::Note(text) => (*text).to_owned(),
        Step::Warning(text) => format!("warning: {text}"),
        Step::BlobStarted { .. }
        | Step::Converting { .. }
        | Step::Bytes { .. }
        | Step::Committing
        | Step::Committed { .. }
        | Step::Finished => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use cache_core::{Descriptor, MediaType};

    use super::*;

    #[test]
    fn a_blob_has_one_line_when_it_is_done() {
        let blob = Descriptor::of(MediaType::OCI_LAYER, b"a");
        let mut meter = Meter::default();
        let steps = [
            Step::Started { task: "copy to x", blobs: 3, bytes: 2048 },
            Step::BlobStarted { blob: &blob },
            Step::Bytes { blob: blob.digest, bytes: 1 },
            Step::BlobDone { blob: &blob, how: "uploaded" },
            Step::Finished,
        ];
        let lines: Vec<String> = steps
            .iter()
            .filter_map(|step| {
                meter.count(step, Instant::now());
                line(&meter, step, false)
            })
            .collect();
        assert_eq!(lines, ["copy to x: 3 blobs, 2.0 KiB".to_owned(), format!("[1/3] {} 1 B uploaded", blob.digest)]);
    }
}
