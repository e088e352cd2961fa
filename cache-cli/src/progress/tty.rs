//! Progress as a live display on a terminal: bytes, blobs, rate.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::meter::Meter;
use super::{Show, Step, at};
use crate::{messages, text};

const TEMPLATE: &str =
    "{spinner} {prefix} [{bar:24}] {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}, {eta} left  {msg}";
const TICK: Duration = Duration::from_millis(120);

/// One line that is redrawn, and cleared at the end.
pub(super) struct Tty {
    bar: ProgressBar,
}

impl Tty {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style());
        Self { bar }
    }

    fn start(&self, meter: &Meter) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        self.bar.reset();
        self.bar.set_prefix(text::printable(&meter.task()));
        self.update(meter);
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.enable_steady_tick(TICK);
    }

    fn update(&self, meter: &Meter) {
        self.bar.set_length(meter.bytes);
        self.bar.set_position(meter.bytes_done);
        self.bar.set_message(format!("{} of {} blobs", meter.blobs_done, meter.blobs));
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| messages::line(text));
    }
}

impl Show for Tty {
    fn show(&self, meter: &Meter, place: Option<&str>, step: &Step<'_>) {
        let say = |line: &str| self.say(&at(place, line));
        match step {
            Step::Started { .. } => self.start(meter),
            Step::Bytes { .. } => self.bar.set_position(meter.bytes_done),
            Step::BlobDone { .. } => self.update(meter),
            Step::Committing => self.bar.set_message("writing the manifest"),
            Step::Committed { .. } if meter.is_done() => self.bar.finish_and_clear(),
            Step::Finished => self.bar.finish_and_clear(),
            Step::Retrying { error, seconds } => say(&format!("trying again in {seconds:.1}s: {error}")),
            Step::Note(text) => say(text),
            Step::Warning(text) => say(&format!("warning: {text}")),
            Step::Converting { .. } => self.bar.set_message("converting layers"),
            Step::Converted { .. } => self.update(meter),
            Step::BlobStarted { .. } | Step::Committed { .. } => {}
        }
    }

    /// The bar redraws itself.
    fn tick(&self, _: &mut Meter, _: Instant) {}
}

/// A test parses the template. If it were invalid, the default style would be used.
fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").tick_chars("-\\|/ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
