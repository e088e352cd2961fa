//! Bytes by layer: a picture, and the largest as a table.

use std::collections::BTreeMap;

use cache_core::{Digest, Timestamp, annotation};
use maud::{Markup, html};

use crate::age;
use crate::report::Context;
use crate::squares::{Rect, squares};
use crate::text::{age as age_of, clean, count, short, shortened, size};

/// How many layers the picture has; the smaller ones are one rectangle.
const DRAWN: usize = 400;
/// How many layers the table has.
const LISTED: usize = 50;
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 520.0;

/// A blob that one or more caches need.
struct Layer<'a> {
    blob: Digest,
    size: u64,
    created_at: Option<Timestamp>,
    name: Option<&'a str>,
    /// How many of the caches have it.
    caches: usize,
}

pub(crate) fn layers(context: &Context<'_>) -> Markup {
    let layers = collected(context);
    if layers.is_empty() {
        return html! {};
    }
    let (drawn, rest) = layers.split_at(layers.len().min(DRAWN));
    let rest_bytes: u64 = rest.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    let all: u64 = layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    html! {
        section id="layers" {
            h2 { "Layers" }
            p { (count(layers.len(), "layer")) ", " (size(all)) " in all: each area is a layer's bytes, each colour its age." }
            ul.legend {
                @for (class, name) in age::legend() { li { span.swatch.(class) {} (name) } }
                @if context.report.caches.len() > 1 { li { span.swatch.shared {} "in several caches" } }
            }
            div.wide tabindex="0" role="group" aria-label="Bytes by layer" {
                (picture(context, drawn, rest.len(), rest_bytes))
            }
            (table(context, &layers))
        }
    }
}

/// Every blob once, the largest first.
fn collected<'a>(context: &'a Context<'_>) -> Vec<Layer<'a>> {
    let mut layers: BTreeMap<Digest, Layer<'a>> = BTreeMap::new();
    for cache in &context.report.caches {
        for blob in cache.manifest.blobs() {
            let described = || blob.annotations.get(annotation::DESCRIPTION).map(String::as_str);
            let layer = layers.entry(blob.digest).or_insert_with(|| Layer {
                blob: blob.digest,
                size: blob.size,
                created_at: blob.created_at(),
                name: context.steps.of_layers.get(&blob.digest).copied().or_else(described),
                caches: 0,
            });
            layer.caches += 1;
        }
    }
    let mut layers: Vec<Layer<'a>> = layers.into_values().collect();
    layers.sort_by_key(|layer| (std::cmp::Reverse(layer.size), layer.blob));
    layers
}

fn picture(context: &Context<'_>, drawn: &[Layer<'_>], rest: usize, rest_bytes: u64) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "an area need not be exact")]
    let mut values: Vec<f64> = drawn.iter().map(|layer| layer.size as f64).collect();
    #[expect(clippy::cast_precision_loss, reason = "an area need not be exact")]
    values.extend((rest > 0).then_some(rest_bytes as f64));
    let places = squares(&values, Rect { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT });
    html! {
        svg.treemap viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Bytes by layer; the table below says the same" {
            defs {
                pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch width="2" height="8" {}
                }
            }
            @for (place, layer) in places.iter().zip(drawn) { (rectangle(context, place, layer)) }
            @if rest > 0 {
                @if let Some(place) = places.last() { (labelled(place, "age-none", &format!("{rest} smaller layers"), &size(rest_bytes), "")) }
            }
        }
    }
}

fn rectangle(context: &Context<'_>, place: &Rect, layer: &Layer<'_>) -> Markup {
    let now = context.report.now;
    let name = layer.name.map_or_else(|| short(&layer.blob.to_string()), clean);
    let made = layer.created_at.map_or_else(String::new, |time| format!(", {} old", age_of(time, now)));
    let shared = if layer.caches > 1 { format!(", in {}", count(layer.caches, "cache")) } else { String::new() };
    let told = format!("{}{made}{shared}\n{}", size(layer.size), layer.blob);
    html! {
        (labelled(place, age::class(layer.created_at, now), &name, &size(layer.size), &told))
        @if layer.caches > 1 && place.width > 3.0 && place.height > 3.0 {
            // Along the lower edge, where there is no text.
            @let height = (place.height - 2.0).min(9.0);
            rect fill="url(#hatch)" pointer-events="none" x=(at(place.x + 1.0)) y=(at(place.y + place.height - height - 1.0)) width=(at(place.width - 2.0)) height=(at(height)) {}
        }
    }
}

/// A rectangle with as much text as it has room for.
fn labelled(place: &Rect, class: &str, name: &str, bytes: &str, told: &str) -> Markup {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a picture is 1,200 wide")]
    let room = (place.width / 8.2).max(0.0) as usize;
    html! {
        g.layer {
            title { (name) "\n" (told) }
            rect.(class) x=(at(place.x)) y=(at(place.y)) width=(at(place.width)) height=(at(place.height)) {}
            @if room > 5 && place.height > 20.0 {
                text.(class) x=(at(place.x + 6.0)) y=(at(place.y + 17.0)) { (shortened(told_in(name, room), room.saturating_sub(2))) }
                @if place.height > 48.0 && room > bytes.len() {
                    text.(class).quiet x=(at(place.x + 6.0)) y=(at(place.y + 34.0)) { (bytes) }
                }
            }
        }
    }
}

/// The part of a step's name to show: if there is little room, the instruction without its stage.
fn told_in(name: &str, room: usize) -> &str {
    let without_stage = || name.strip_prefix('[')?.split_once("] ").map(|(_, rest)| rest);
    if name.chars().count() < room { name } else { without_stage().unwrap_or(name) }
}

/// A coordinate with one decimal.
fn at(value: f64) -> String {
    format!("{value:.1}")
}

fn table(context: &Context<'_>, layers: &[Layer<'_>]) -> Markup {
    let now = context.report.now;
    html! {
        details {
            summary { "The largest layers as a table" }
            div.wide tabindex="0" role="group" aria-label="The largest layers" {
                table {
                    thead { tr { th scope="col" { "Layer" } th scope="col" { "Step" } th.number scope="col" { "Size" } th.number scope="col" { "Age" } th.number scope="col" { "Caches" } } }
                    tbody {
                        @for layer in layers.iter().take(LISTED) {
                            tr {
                                td { code title=(layer.blob.to_string()) { (short(&layer.blob.to_string())) } }
                                td { bdi { (layer.name.map_or_else(|| "-".to_owned(), clean)) } }
                                td.number { (size(layer.size)) }
                                td.number { (layer.created_at.map_or_else(|| "-".to_owned(), |time| age_of(time, now))) }
                                td.number { (layer.caches) }
                            }
                        }
                    }
                }
            }
            @if layers.len() > LISTED { p.quiet { "and " (count(layers.len() - LISTED, "smaller layer")) } }
        }
    }
}
