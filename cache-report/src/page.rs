//! The page: everything that is needed to show it is in it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::build::build;
use crate::caches::caches;
use crate::layers::layers;
use crate::report::{Context, Report};
use crate::sharing::sharing;
use crate::text::{clean, count, date};
use crate::tree::tree;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("search.js");
/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// Writes the page, whole: HTML 5 in UTF-8.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    let context = Context::new(report);
    let title = title(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="buildcache";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    h1 { (title) }
                    p.quiet { "Written " (date(report.now)) }
                    (contents(report))
                }
                main id="main" {
                    @if let Some(explanation) = report.explanation { (build(explanation)) }
                    (caches(&context))
                    (layers(&context))
                    (sharing(&context))
                    (tree(&context))
                }
                footer { p.quiet { "Made by buildcache. This file needs no network." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn title(report: &Report<'_>) -> String {
    match report.caches.as_slice() {
        [one] => format!("Build cache {}", clean(&one.name)),
        many => format!("Build caches: {}", count(many.len(), "cache")),
    }
}

fn contents(report: &Report<'_>) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @if report.explanation.is_some() { li { a href="#build" { "The build" } } }
                li { a href="#caches" { "Caches" } }
                li { a href="#layers" { "Layers" } }
                @if report.caches.len() > 1 { li { a href="#sharing" { "Sharing" } } }
                li { a href="#records" { "Records" } }
            }
        }
    }
}
