//! The table of `explain`.

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};

use super::report::{GroupReport, Report, StepReport, TimesReport};
use crate::output;
use crate::text;

/// Characters of a step's name that a line shows.
const NAME: usize = 60;
/// Causes that are shown at the end.
const CAUSES: usize = 5;

impl output::Report for Report {
    fn table(&self, _: Timestamp, all: bool) -> String {
        let mut text = self.summary();
        let mut stage: Option<&Option<String>> = None;
        for (n, step) in self.steps.iter().enumerate() {
            if stage != Some(&step.stage) {
                let _ = writeln!(text, "\n{}", text::printable(step.stage.as_deref().unwrap_or("other steps")));
                stage = Some(&step.stage);
            }
            self.step(&mut text, n, step, all);
        }
        self.end(&mut text, all);
        text
    }

    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }
}

impl Report {
    fn summary(&self) -> String {
        let missed = self.steps.iter().filter(|step| step.miss.is_some()).count();
        let hits = self.steps.iter().filter(|step| step.outcome == "hit").count();
        let mut text = String::new();
        let of = text::count(self.steps.len(), "step");
        if self.is_all_cached {
            let _ = writeln!(text, "every step hit: {of}");
        } else {
            let _ = writeln!(text, "{missed} of {of} ran, {hits} hit");
        }
        text.push_str(&self.times.line().unwrap_or_default());
        for note in &self.notes {
            let _ = writeln!(text, "note: {}", text::printable(note));
        }
        text
    }

    fn step(&self, text: &mut String, n: usize, step: &StepReport, all: bool) {
        let name = text::printable(strip_stage(&step.name));
        let name = if all { name } else { shortened(&name) };
        let _ = match step.seconds {
            Some(seconds) => write!(text, "  {:<11} {:>7}  {name}", step.outcome, time(seconds)),
            None => write!(text, "  {:<11}  {name}", step.outcome),
        };
        let Some(miss) = &step.miss else {
            text.push('\n');
            return;
        };
        let words = match miss.because_of {
            Some(first) if miss.cause == "follows" => format!("because of {}", self.label(first)),
            Some(first) => format!("for the same reason as {}", self.label(first)),
            None => miss.words.clone(),
        };
        let _ = writeln!(text, "  <- {}", text::printable(&words));
        if miss.because_of.is_none() {
            let group = self.causes.iter().find(|group| group.step == n && !group.followers.is_empty());
            if let Some(group) = group {
                let more = text::count(group.followers.len(), "step");
                let rest = self.seconds(&group.followers).map(|rest| format!(", {}", time(rest)));
                let _ = writeln!(text, "{:22}{more} ran because of it{}", "", rest.unwrap_or_default());
            }
        }
        let mut more: Vec<String> = miss.also.iter().map(|also| format!("also: {also}")).collect();
        if all {
            more.extend(miss.evidence.iter().map(|evidence| format!("{}: {}", evidence.what, evidence.object)));
            more.extend(miss.stored_in.iter().map(|cache| format!("stored in: {cache}")));
        } else if miss.because_of.is_some() {
            more.clear();
        }
        for line in more {
            let _ = writeln!(text, "{:22}{}", "", text::printable(&line));
        }
    }

    /// How long these steps took together.
    fn seconds(&self, steps: &[usize]) -> Option<f64> {
        steps.iter().filter_map(|&step| self.steps.get(step)).map(|step| step.seconds).sum()
    }

    /// A step by its place: `[build 2/4]`, or its name.
    fn label(&self, n: usize) -> String {
        let name = self.steps.get(n).map_or("", |step| step.name.as_str());
        match name.split_once(']') {
            Some((place, _)) if name.starts_with('[') => format!("{place}]"),
            _ => shortened(name),
        }
    }

    fn end(&self, text: &mut String, all: bool) {
        let shown = if all { usize::MAX } else { CAUSES };
        if !self.causes.is_empty() {
            let has_times = self.times.wall.is_some();
            text.push_str(if has_times { "\nwhat cost the most\n" } else { "\ncauses\n" });
        }
        for group in self.causes.iter().take(shown) {
            let cost = group.seconds.map(|seconds| format!("{:>7}  ", time(seconds))).unwrap_or_default();
            let _ = writeln!(text, "  {cost}{}", text::printable(&self.told(group)));
            let _ = writeln!(text, "{:11}{}", "", group.advice);
        }
        if let Some(more) = self.causes.len().checked_sub(shown).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {more} more (-v lists them)");
        }
        let _ = writeln!(text, "\nto look at it: {}", text::printable(&self.report_command));
    }

    fn told(&self, group: &GroupReport) -> String {
        let steps = group.followers.len().saturating_add(1);
        format!("{} {}: {}", self.label(group.step), text::count(steps, "step"), group.words)
    }
}

impl TimesReport {
    /// Where the time went; `None` if that is unknown.
    fn line(&self) -> Option<String> {
        let (wall, missed, hits, other) = (self.wall?, self.missed?, self.hits?, self.other?);
        Some(format!(
            "{} from start to end: {} in steps that ran, {} to fetch hits, {} in other work\n",
            time(wall),
            time(missed),
            time(hits),
            time(other)
        ))
    }
}

fn strip_stage(name: &str) -> &str {
    match name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => name,
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// A time in seconds, or in milliseconds if it is shorter than one.
fn time(seconds: f64) -> String {
    if seconds < 0.995 {
        return format!("{:.0}ms", seconds * 1e3);
    }
    text::elapsed(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
