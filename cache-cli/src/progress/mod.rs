//! Progress on stderr: events become [`Step`]s, and a format shows them.

mod commit_listener;
mod looking;
mod meter;
mod plain;
mod rawjson;
mod tty;
mod watched;

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cache_core::{Descriptor, Digest, Event, Progress};
use clap::ValueEnum;

pub(crate) use self::commit_listener::CommitListener;
pub(crate) use self::looking::Looking;
use self::meter::Meter;
pub(crate) use self::watched::Watched;
use crate::{messages, text};

/// How many of the blobs that are left out are named.
const NAMED: usize = 3;
/// The time between two checks for blobs that were not reported for long.
const TICK: Duration = Duration::from_secs(1);

/// Formats of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressForm {
    /// tty on a terminal, plain elsewhere.
    Auto,
    /// A live display; plain where stderr is not a terminal.
    Tty,
    /// A line for each blob.
    Plain,
    /// A JSON object for each event.
    Rawjson,
    /// Only warnings.
    Quiet,
}

/// One step to show: events of exports, and those of verbs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Work on this many blobs with this many bytes begins; `task` says which. Other work may be under way.
    Started { task: &'a str, blobs: usize, bytes: u64 },
    /// A layer is about to be converted.
    Converting { blob: &'a Descriptor, to: &'a str },
    /// A layer was converted.
    Converted { blob: &'a Descriptor, into: &'a Descriptor },
    /// Work on a blob begins.
    BlobStarted { blob: &'a Descriptor },
    /// Bytes of a blob were moved.
    Bytes { blob: Digest, bytes: u64 },
    /// A blob is done; `how` says what was done with it.
    BlobDone { blob: &'a Descriptor, how: &'static str },
    /// A call failed and is repeated.
    Retrying { error: &'a str, seconds: f64 },
    /// The manifest is about to be written.
    Committing,
    /// The manifest is written; `None` if nothing was.
    Committed { manifest: Option<&'a Descriptor> },
    /// A note.
    Note(&'a str),
    /// A warning.
    Warning(&'a str),
    /// The end.
    Finished,
}

/// Shows steps in one format.
trait Show: Send + Sync {
    /// `meter` has counted everything so far, including `step`. `place` is the destination, if there are several.
    fn show(&self, meter: &Meter, place: Option<&str>, step: &Step<'_>);

    /// Called every [`TICK`], also without steps.
    fn tick(&self, meter: &mut Meter, now: Instant);
}

/// Counts steps and shows them.
pub(crate) struct Reporter {
    meter: Mutex<Meter>,
    form: Box<dyn Show>,
}

impl Reporter {
    pub(crate) fn new(form: ProgressForm, verbose: bool) -> Self {
        Self { meter: Mutex::default(), form: choose(form, verbose) }
    }

    pub(crate) fn step(&self, step: &Step<'_>) {
        self.step_at(None, step);
    }

    /// A step at one of several places.
    fn step_at(&self, place: Option<&str>, step: &Step<'_>) {
        let mut meter = self.meter();
        meter.count(step, Instant::now());
        self.form.show(&meter, place, step);
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // A panic elsewhere leaves outdated numbers at worst.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports blobs under way from time to time; never returns.
    pub(crate) async fn keep_telling(&self) -> Infallible {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.form.tick(&mut self.meter(), Instant::now());
        }
    }

    /// The last call that failed and was repeated.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.meter().last_failure.clone()
    }

    pub(crate) fn note(&self, text: &str) {
        self.step(&Step::Note(text));
    }

    pub(crate) fn warn(&self, text: &str) {
        self.step(&Step::Warning(text));
    }

    /// Clears the display.
    pub(crate) fn finish(&self) {
        self.step(&Step::Finished);
    }
}

impl Progress for Reporter {
    fn event(&self, event: &Event<'_>) {
        self.event_at(None, event);
    }
}

impl Reporter {
    /// An event at one of several places.
    fn event_at(&self, place: Option<&str>, event: &Event<'_>) {
        let step = |step: Step<'_>| self.step_at(place, &step);
        match event {
            Event::Started { blobs, bytes } => step(Step::Started { task: "export", blobs: *blobs, bytes: *bytes }),
            Event::BlobStarted { blob } => step(Step::BlobStarted { blob }),
            Event::BlobBytes { blob, bytes } => step(Step::Bytes { blob: *blob, bytes: *bytes }),
            Event::BlobDone { blob, pushed } => step(Step::BlobDone { blob, how: pushed.name() }),
            Event::Retrying { error, wait } => step(Step::Retrying { error, seconds: wait.as_secs_f64() }),
            Event::Throttled { reason, wait, left } => {
                let left = left.map(|left| format!(", and is done in about {}", text::elapsed(left)));
                let wait = text::elapsed(*wait);
                step(Step::Note(&format!("{reason}: goes on in {wait}{}", left.unwrap_or_default())));
            }
            Event::Converting { blob, to } => step(Step::Converting { blob, to: to.kind().name() }),
            Event::Converted { blob, into } => step(Step::Converted { blob, into }),
            Event::Unconverted { blob, reason } => {
                step(Step::Warning(&format!("layer {} stays as it is: {reason}", blob.digest)));
            }
            Event::LeftOut { blobs, results, left } => step(Step::Warning(&left_out(blobs, *results, *left))),
            Event::Committing => step(Step::Committing),
            Event::Committed { committed } => step(Step::Committed { manifest: committed.descriptor.as_ref() }),
            _ => {}
        }
    }
}

fn left_out(blobs: &[Digest], results: usize, left: usize) -> String {
    let named = blobs.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = blobs.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    let (count, results) = (text::count(blobs.len(), "blob"), text::count(results, "result"));
    let what = format!("{count} reserved by a writer that never finished ({named}{})", more.unwrap_or_default());
    match left {
        0 => format!("{what}: every result needs it, and nothing is written"),
        _ => format!("{what}: {results} left out that need it"),
    }
}

fn choose(form: ProgressForm, verbose: bool) -> Box<dyn Show> {
    let is_terminal = std::io::stderr().is_terminal();
    match form {
        ProgressForm::Auto | ProgressForm::Tty if is_terminal => Box::new(tty::Tty::new()),
        ProgressForm::Auto | ProgressForm::Tty | ProgressForm::Plain => Box::new(plain::Plain { verbose }),
        ProgressForm::Rawjson => Box::new(rawjson::RawJson::new()),
        ProgressForm::Quiet => Box::new(Quiet),
    }
}

/// Shows only warnings, which are never hidden.
struct Quiet;

impl Show for Quiet {
    fn show(&self, _: &Meter, place: Option<&str>, step: &Step<'_>) {
        if let Step::Warning(text) = step {
            messages::line(&at(place, &format!("warning: {text}")));
        }
    }

    fn tick(&self, _: &mut Meter, _: Instant) {}
}

/// A line with the place in front.
fn at(place: Option<&str>, line: &str) -> String {
    place.map_or_else(|| line.to_owned(), |place| format!("{place}: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let blobs = [b"a", b"b", b"c", b"d", b"e"].map(|byte| Digest::sha256(byte));
        let text = left_out(&blobs, 7, 1);
        assert!(text.starts_with("5 blobs reserved by a writer that never finished (sha256:"), "{text}");
        assert!(text.ends_with(" and 2 more): 7 results left out that need it"), "{text}");
        assert!(left_out(&blobs[..1], 1, 0).ends_with("): every result needs it, and nothing is written"));
    }
}
