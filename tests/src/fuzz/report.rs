//! Reports on hostile caches and logs: HTML that a browser reads as intended.

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{CacheConfig, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation};
use cache_ops::{BuildLog, ConsultedCache, Content, Explanation, LogLimits, explain, graph};
use cache_report::{Report, ReportedCache, render};
use scraper::{Html, Selector};

/// The most records, steps, causes and bars of a page.
const RECORDS: usize = 10_000;
const STEPS: usize = 2_000;
const CAUSES: usize = 50;
const BARS: usize = 300;
/// Bytes of the input in each name of a made cache.
const NAME: usize = 40;
/// The most records of a made cache.
const MADE: usize = 30;

/// An HTML parser finds no error in a page, and the right number of records, steps and causes. Nothing in the input
/// becomes an element or a handler.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let manifest = CacheManifest::decode_flat(data.to_vec()).unwrap_or_else(|_| made_of(data));
    let name = String::from_utf8_lossy(data);
    let explanation = explained(data, &manifest, &name);
    let caches = vec![ReportedCache::new(name.as_ref(), &manifest), ReportedCache::new("<b>&", &manifest)];
    let report = Report::new(caches, Timestamp::ZERO);
    let page = match &explanation {
        Some(explanation) => render(&report.with_explanation(explanation)),
        None => render(&report),
    };
    let page = Html::parse_document(&page);
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    let records = graph(&manifest).map_or(0, |graph| graph.records.len());
    assert_eq!(count(&page, ".record"), (2 * records).min(RECORDS), "records");
    assert_eq!(count(&page, "script, style, meta"), 7, "nothing is added to the page");
    assert_eq!(count(&page, "img, iframe, object, embed, link, form, base, [src]"), 0, "nothing is loaded");
    let is_handler = |name: &str| name.starts_with("on");
    let mut elements = page.root_element().descendent_elements();
    assert!(elements.all(|element| !element.value().attrs().any(|(name, _)| is_handler(name))), "nothing is run");
    if let Some(found) = explanation {
        let timed = found.steps.iter().filter(|step| !step.spans.is_empty()).count();
        assert_eq!(count(&page, "table.steps tbody tr"), found.steps.len().min(STEPS), "steps");
        assert_eq!(count(&page, ".causes > li"), found.causes.len().min(CAUSES), "causes");
        assert_eq!(count(&page, ".timeline g"), timed.min(BARS), "bars");
    }
}

fn count(page: &Html, selector: &str) -> usize {
    page.select(&Selector::parse(selector).expect("the selectors above are sound")).count()
}

fn explained(data: &[u8], manifest: &CacheManifest, name: &str) -> Option<Explanation> {
    let log = BuildLog::read(data, &LogLimits::default()).ok()?;
    let cache = ConsultedCache::imported(name, Content::Cache(manifest));
    explain(&[cache], None, Some(&log)).ok()
}

/// A cache whose steps have pieces of the input as names.
fn made_of(data: &[u8]) -> CacheManifest {
    let mut config = CacheConfig::default();
    let mut described = Vec::new();
    for (n, piece) in (0_i64..).zip(data.chunks(NAME).take(MADE)) {
        let blob = Descriptor::of(MediaType::OCI_LAYER, &n.to_le_bytes());
        let diff_id = blob.digest;
        config.layers.push(CacheLayer { blob: blob.digest, parent: n - 1, annotations: None });
        let step = Digest::sha256(&n.to_be_bytes()).into();
        let inputs = if n == 0 { Vec::new() } else { vec![vec![RecordLink { selector: String::new(), link: n / 2 }]] };
        let results = vec![LayerResult { layer: n, created_at: Timestamp::ZERO }];
        config.records.push(CacheRecord { key: step, inputs, results, ..CacheRecord::default() });
        let blob = blob.with_annotation(annotation::UNCOMPRESSED, diff_id);
        described.push(blob.with_annotation(annotation::DESCRIPTION, String::from_utf8_lossy(piece)));
    }
    CacheManifest::new(config, described)
}
