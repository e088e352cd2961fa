//! The part about a build: causes, the most expensive first, and where the time went.

use cache_ops::{CauseGroup, Explanation, StepOutcome};
use maud::{Markup, html};

use crate::steps;
use crate::text::{clean, count, time};
use crate::timeline::timeline;
use crate::words;

/// How many causes are shown, and how many steps of each.
const CAUSES: usize = 50;
const FOLLOWERS: usize = 100;

pub(crate) fn build(explanation: &Explanation) -> Markup {
    let times = &explanation.times;
    let hits = explanation.steps.iter().filter(|step| step.outcome == StepOutcome::Hit).count();
    let missed = explanation.steps.iter().filter(|step| step.miss.is_some()).count();
    html! {
        section id="build" {
            h2 { "The build" }
            dl.figures {
                div { dt { "from start to end" } dd { (time(times.wall)) } }
                div { dt { "steps that hit" } dd { (hits) } }
                div { dt { "steps that ran" } dd { (missed) } }
                div { dt { "in steps that ran" } dd { (time(times.missed)) } }
                div { dt { "to fetch hits" } dd { (time(times.hits)) } }
                div { dt { "in other work" } dd { (time(times.other)) } }
            }
            @for note in &explanation.notes { p.note { (clean(&words::note(note))) } }
            h3 { "Why steps ran" }
            @if explanation.causes.is_empty() { p { "Every step hit." } }
            ol.causes {
                @for group in explanation.causes.iter().take(CAUSES) { (cause(explanation, group)) }
            }
            @if explanation.causes.len() > CAUSES { p.quiet { (count(explanation.causes.len() - CAUSES, "cheaper cause")) " left out." } }
            (timeline(explanation))
            (steps::table(explanation))
        }
    }
}

fn cause(explanation: &Explanation, group: &CauseGroup) -> Markup {
    let name = |step: usize| explanation.steps.get(step).map_or_else(String::new, |step| clean(&step.name));
    let evidence = words::evidence(&group.cause);
    html! {
        li {
            p {
                strong.time { (time(group.time)) } " " span.words { (clean(&words::cause_and_certainty(&group.cause, group.is_certain))) }
            }
            p { code.step { bdi { (name(group.first)) } } }
            @if !group.followers.is_empty() {
                details {
                    summary { (count(group.followers.len(), "step")) " ran because of it" }
                    ul { @for step in group.followers.iter().take(FOLLOWERS) { li { code.step { bdi { (name(*step)) } } } } }
                    @if group.followers.len() > FOLLOWERS { p.quiet { "and " (group.followers.len() - FOLLOWERS) " more" } }
                }
            }
            @if !evidence.is_empty() {
                details {
                    summary { "What proves it" }
                    ul { @for proof in evidence.iter().take(FOLLOWERS) { li { (proof.what) " " code { (clean(&proof.object)) } } } }
                }
            }
            p.quiet { (words::advice(&group.cause)) }
        }
    }
}
