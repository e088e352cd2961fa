//! Every step of a build as a table.

use cache_ops::{Explanation, Step};
use maud::{Markup, html};

use crate::text::{clean, time};
use crate::timeline::{class, word};
use crate::words;

/// How many steps are shown.
const SHOWN: usize = 2_000;

pub(crate) fn table(explanation: &Explanation) -> Markup {
    let steps = &explanation.steps;
    html! {
        details open[steps.len() <= 60] {
            summary { "Every step" }
            div.wide tabindex="0" role="group" aria-label="Every step" {
                table.steps {
                    thead { tr { th scope="col" { "Step" } th scope="col" { "Outcome" } th.number scope="col" { "Time" } th scope="col" { "Why" } } }
                    tbody { @for (n, step) in steps.iter().enumerate().take(SHOWN) { (row(explanation, n, step)) } }
                }
            }
            @if steps.len() > SHOWN { p.quiet { (steps.len() - SHOWN) " steps are left out." } }
        }
    }
}

fn row(explanation: &Explanation, n: usize, step: &Step) -> Markup {
    html! {
        tr {
            th scope="row" { code.step { bdi { (clean(&step.name)) } } }
            td { span.outcome.(class(step.outcome)) { (word(step.outcome)) } }
            td.number { (time(step.time)) }
            td { (why(explanation, n, step)) }
        }
    }
}

fn why(explanation: &Explanation, n: usize, step: &Step) -> String {
    let Some(miss) = &step.miss else { return String::new() };
    let first = explanation.causes.get(miss.group).map_or(n, |group| group.first);
    if first == n {
        return clean(&words::cause_and_certainty(&miss.cause, miss.is_certain));
    }
    let name = explanation.steps.get(first).map_or_else(String::new, |step| clean(&step.name));
    format!("because of {name}")
}
