//! The records of each cache as a tree that folds, and a search over it.
//!
//! A browser does not nest deeper than 512 elements, so a chain of records is a row of siblings; only where a record
//! has several below it does the tree go down, and not for ever.

use cache_ops::{Graph, GraphRecord};
use maud::{Markup, PreEscaped, html};

use crate::report::Context;
use crate::text::{age, clean, count, short, size};

/// How many records a page has.
const SHOWN: usize = 10_000;
/// How deep branches are nested.
const DEPTH: usize = 60;

pub(crate) fn tree(context: &Context<'_>) -> Markup {
    let mut left = SHOWN;
    let all: usize = context.graphs.iter().flatten().map(|graph| graph.records.len()).sum();
    html! {
        section id="records" {
            h2 { "Records" }
            p { (count(all, "record")) ". A record stands below the one that it hangs on by its first input; what hangs on several stands there once." }
            div.search role="search" hidden {
                label for="find" { "Find a record " }
                input id="find" type="search" autocomplete="off" placeholder="key, layer or step";
                " " span id="found" role="status" {}
            }
            @for (cache, graph) in context.report.caches.iter().zip(&context.graphs) {
                @let records = graph.as_ref().map_or(0, |graph| graph.records.len());
                details.cache open[context.report.caches.len() == 1 && records < 300] {
                    summary { bdi { (clean(&cache.name)) } " " span.quiet { (count(records, "record")) } }
                    @match graph {
                        Some(graph) => (of_cache(context, graph, &mut left)),
                        None => p { "BuildKit does not import it, so there is no tree." },
                    }
                }
            }
            @if all > SHOWN { p.quiet { (all - SHOWN) " records are left out." } }
        }
    }
}

/// A step that is still to be written.
enum Step {
    Record(usize, usize),
    Close(&'static str),
}

/// Writes the tree of one cache without recursion: its depth is the input's.
fn of_cache(context: &Context<'_>, graph: &Graph, left: &mut usize) -> Markup {
    let children = children(graph);
    let mut out = String::from("<ul class=\"tree\">");
    let mut todo: Vec<Step> = roots(graph).rev().map(|n| Step::Record(n, 0)).collect();
    while let Some(step) = todo.pop() {
        let (n, depth) = match step {
            Step::Close(tags) => {
                out.push_str(tags);
                continue;
            }
            Step::Record(n, depth) => (n, depth),
        };
        if *left == 0 {
            continue;
        }
        *left -= 1;
        let below = &children[n];
        let is_branch = below.len() > 1 && depth < DEPTH;
        out.push_str("<li>");
        if is_branch {
            out.push_str("<details open><summary>");
            out.push_str(&line(context, graph, n).into_string());
            out.push_str("</summary><ul>");
            todo.push(Step::Close("</ul></details></li>"));
        } else {
            out.push_str(&line(context, graph, n).into_string());
            out.push_str("</li>");
        }
        let depth = depth + usize::from(is_branch);
        todo.extend(below.iter().rev().map(|&child| Step::Record(child, depth)));
    }
    out.push_str("</ul>");
    PreEscaped(out)
}

fn roots(graph: &Graph) -> impl DoubleEndedIterator<Item = usize> {
    let is_root = |record: &GraphRecord| record.inputs.is_empty();
    (0..graph.records.len()).filter(move |&n| is_root(&graph.records[n]))
}

/// For each record those that hang on it by their first input, each under one record only.
fn children(graph: &Graph) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); graph.records.len()];
    for (n, record) in graph.records.iter().enumerate() {
        let above = record.inputs.first().and_then(|input| input.first()).map(|link| link.record);
        if let Some(below) = above.and_then(|above| children.get_mut(above)) {
            below.push(n);
        }
    }
    children
}

fn line(context: &Context<'_>, graph: &Graph, n: usize) -> Markup {
    let record = &graph.records[n];
    let key = record.key.to_string();
    let layer = record.result.as_ref().and_then(|result| graph.layers.get(result.top));
    let described = layer.and_then(|layer| layer.description.as_deref());
    let name = context.steps.of_records.get(&key).copied().or(described);
    html! {
        span.record data-key=(clean(&key)) {
            code { (short(&key)) }
            @if let Some(name) = name { " " bdi { (clean(name)) } }
            @if record.inputs.len() > 1 { " " span.quiet { (count(record.inputs.len(), "input")) } }
            @match (&record.result, layer) {
                (Some(result), Some(layer)) => {
                    " " span.result title=(layer.blob.to_string()) { (size(layer.size)) ", " (age(result.created_at, context.report.now)) }
                }
                _ if record.inputs.is_empty() => { " " span.quiet { "source" } }
                _ => { " " span.quiet { "no result" } }
            }
        }
    }
}
