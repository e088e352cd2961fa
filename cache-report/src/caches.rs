//! The part about caches: for each its content, age, readers and findings.

use cache_core::{CacheManifest, Finding, Timestamp};
use maud::{Markup, html};

use crate::readers::{IMAGE_MANIFEST, is_image_manifest, readers};
use crate::report::{Context, ReportedCache};
use crate::text::{age, clean, count, short, size};

/// How many findings of a cache are shown.
const FINDINGS: usize = 20;

pub(crate) fn caches(context: &Context<'_>) -> Markup {
    let report = context.report;
    html! {
        section id="caches" {
            h2 { "Caches" }
            div.wide tabindex="0" role="group" aria-label="Caches" {
                table {
                    thead { tr {
                        th scope="col" { "Cache" } th scope="col" { "Digest" } th.number scope="col" { "Size" }
                        th.number scope="col" { "Layers" } th.number scope="col" { "Records" } th.number scope="col" { "Results" }
                        th.number scope="col" { "Oldest" } th.number scope="col" { "Newest" } th.number scope="col" { "Config" }
                        th scope="col" { "BuildKit" }
                    } }
                    tbody { @for cache in &report.caches { (row(cache, report.now)) } }
                }
            }
            @if report.caches.iter().any(is_image_manifest) { p.quiet { (IMAGE_MANIFEST) } }
            @for cache in report.caches.iter().filter(|cache| !cache.findings.is_empty()) { (findings(cache)) }
            @if let Some(dead) = report.dead {
                @if dead.blobs == 0 {
                    p { "Their store holds nothing that no cache reaches." }
                } @else {
                    p { "Their store holds " (count(dead.blobs, "blob")) " with " (size(dead.bytes)) " that no cache reaches." }
                }
            }
        }
    }
}

fn row(cache: &ReportedCache<'_>, now: Timestamp) -> Markup {
    let manifest = cache.manifest;
    let records = &manifest.config().records;
    let results = records.iter().filter(|record| !record.results.is_empty() || !record.chains.is_empty()).count();
    let times = records
        .iter()
        .flat_map(|record| &record.results)
        .map(|result| result.created_at)
        .filter(|time| !time.is_zero());
    let (oldest, newest) = (times.clone().min(), times.max());
    let digest = digest(manifest);
    let ago = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| age(time, now));
    html! {
        tr {
            th.name scope="row" { bdi { (clean(&cache.name)) } }
            td { @if let Some(digest) = &digest { code title=(digest) { (short(digest)) } } @else { "-" } }
            td.number { (size(manifest.unique_bytes())) }
            td.number { (manifest.blobs().len()) }
            td.number { (records.len()) }
            td.number { (results) }
            td.number { (ago(oldest)) }
            td.number { (ago(newest)) }
            td.number { (manifest.raw_config().map_or_else(|| "-".to_owned(), |config| size(config.descriptor.size))) }
            td.nowrap { (readers(cache)) }
        }
    }
}

/// The digest that names a cache.
pub(crate) fn digest(manifest: &CacheManifest) -> Option<String> {
    let document = manifest.raw_manifest().or(manifest.raw_config());
    document.map(|document| document.descriptor.digest.to_string())
}

fn findings(cache: &ReportedCache<'_>) -> Markup {
    html! {
        h3 { "What is wrong with " bdi { (clean(&cache.name)) } }
        ul.findings {
            @for finding in cache.findings.iter().take(FINDINGS) { (line(finding)) }
            @if cache.findings.len() > FINDINGS { li.quiet { "and " (cache.findings.len() - FINDINGS) " more" } }
        }
    }
}

fn line(finding: &Finding) -> Markup {
    let (class, name) = if finding.code.is_error() { ("bad", "error") } else { ("warn", "warning") };
    html! { li { strong.(class) { (name) } " " code { (finding.code) } " " (clean(&finding.object)) ": " (clean(&finding.message)) } }
}
