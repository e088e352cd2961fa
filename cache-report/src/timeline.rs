//! When each step was at work, as a picture.

use std::time::Duration;

use cache_core::Timestamp;
use cache_ops::{Explanation, Step, StepOutcome};
use maud::{Markup, html};

use crate::text::{clean, count, shortened, time};

/// How many steps are drawn, the longest ones.
const DRAWN: usize = 300;
const WIDTH: f64 = 1200.0;
const NAMES: f64 = 330.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 26.0;
/// How many lines divide the time.
const TICKS: u32 = 6;

pub(crate) fn timeline(explanation: &Explanation) -> Markup {
    let mut steps: Vec<&Step> = explanation.steps.iter().filter(|step| !step.spans.is_empty()).collect();
    let Some(start) = steps.iter().flat_map(|step| &step.spans).map(|span| span.start).min() else { return html! {} };
    let end = steps.iter().flat_map(|step| &step.spans).map(|span| span.end).max().unwrap_or(start);
    let left_out = steps.len().saturating_sub(DRAWN);
    steps.sort_by_key(|step| std::cmp::Reverse(step.time));
    steps.truncate(DRAWN);
    steps.sort_by_key(|step| step.spans.first().map(|span| (span.start, span.end)));
    let scale = Scale { start, length: end.since(start).max(Duration::from_millis(1)) };
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of rows")]
    let height = HEAD + ROW * steps.len() as f64 + 4.0;
    html! {
        h3 { "Time line" }
        ul.legend {
            li { span.swatch.ran {} "ran" } li { span.swatch.hit {} "hit: fetched and unpacked" } li { span.swatch.failed {} "failed" }
        }
        div.wide tabindex="0" role="group" aria-label="Time line" {
            svg.timeline viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label="When each step was at work; the table of steps says how long" {
                @for tick in 0..=TICKS { (scale.tick(tick, height)) }
                @for (row, step) in steps.iter().enumerate() { (bar(&scale, row, step)) }
            }
        }
        @if left_out > 0 { p.quiet { (count(left_out, "shorter step")) " left out." } }
    }
}

/// From times to places.
struct Scale {
    start: Timestamp,
    length: Duration,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        NAMES + (WIDTH - NAMES - 10.0) * at.since(self.start).as_secs_f64() / self.length.as_secs_f64()
    }

    fn tick(&self, n: u32, height: f64) -> Markup {
        let share = f64::from(n) / f64::from(TICKS);
        let x = NAMES + (WIDTH - NAMES - 10.0) * share;
        let anchor = if n == 0 {
            "start"
        } else if n == TICKS {
            "end"
        } else {
            "middle"
        };
        html! {
            line.tick x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1="20" y2=(format!("{height:.0}")) {}
            text.quiet x=(format!("{x:.1}")) y="14" text-anchor=(anchor) { (time(self.length.mul_f64(share))) }
        }
    }
}

fn bar(scale: &Scale, row: usize, step: &Step) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of rows")]
    let y = HEAD + ROW * row as f64;
    let class = class(step.outcome);
    html! {
        g {
            title { (clean(&step.name)) "\n" (time(step.time)) }
            text x="8" y=(format!("{:.1}", y + 15.0)) { (shortened(&step.name, 42)) }
            @for span in &step.spans {
                @let (from, to) = (scale.x(span.start), scale.x(span.end));
                rect.(class) x=(format!("{from:.1}")) y=(format!("{:.1}", y + 3.0)) width=(format!("{:.1}", (to - from).max(1.5))) height="15" rx="2" {}
            }
        }
    }
}

/// The class of an outcome.
pub(crate) fn class(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Hit => "hit",
        StepOutcome::Ran => "ran",
        StepOutcome::Failed => "failed",
        _ => "idle",
    }
}

/// The outcome as in the table.
pub(crate) fn word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Hit => "hit",
        StepOutcome::Ran => "ran",
        StepOutcome::Failed => "failed",
        StepOutcome::Unfinished => "unfinished",
        _ => "not reached",
    }
}
