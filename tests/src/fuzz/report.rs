//! Pages of caches: any config is shown, and an HTML parser reads as many records back as are shown.

use cache_core::{CacheConfig, CacheManifest, Descriptor, MediaType, Timestamp, annotation};
use cache_ops::graph;
use cache_report::{Report, ReportedCache, render};
use scraper::{Html, Selector};

/// No page has more records.
const SHOWN: usize = 10_000;

/// A page is valid HTML, whatever the cache, its name and its steps are called.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(config) = CacheConfig::decode(data) else { return };
    let name = String::from_utf8_lossy(data).chars().rev().take(100).collect::<String>();
    let layers = config.layers.clone();
    let described = layers.iter().take(1_000).map(|layer| {
        let descriptor = Descriptor::new(MediaType::OCI_LAYER, layer.blob, 1_000);
        descriptor.with_annotation(annotation::DESCRIPTION, &name)
    });
    let manifest = CacheManifest::new(config, described);
    let records = graph(&manifest).map_or(0, |graph| graph.records.len());
    let page = render(&Report::new(vec![ReportedCache::new(name, &manifest)], Timestamp::ZERO));
    let html = Html::parse_document(&page);
    assert!(html.errors.is_empty(), "invalid HTML: {:?}", html.errors);
    let record = Selector::parse(".record").expect("it is a selector");
    assert_eq!(html.select(&record).count(), records.min(SHOWN), "not as many records as there are");
}
