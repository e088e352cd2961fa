//! Reports: parsed again, with hostile names, in both themes, and in a real browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its page has to stop")]

mod browser;
mod contrast;
mod html;

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{CacheConfig, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation};

/// A cache with branches: after every `branch` records, one is a child of the first.
fn cache(records: usize, branch: usize, name: &str) -> CacheManifest {
    let mut config = CacheConfig::default();
    let mut described = Vec::new();
    let index = |n: usize| i64::try_from(n).unwrap();
    for n in 0..records {
        let mut record =
            CacheRecord { key: Digest::sha256(format!("{name} {n}").as_bytes()).into(), ..CacheRecord::default() };
        if n > 0 {
            let link = if n % branch == 0 { 0 } else { index(n) - 1 };
            record.inputs = vec![vec![RecordLink { selector: String::new(), link }]];
            let layer = Descriptor::of(MediaType::OCI_LAYER, format!("{name} layer {}", n % 5_000).as_bytes());
            let layer = Descriptor { size: 1_000 + 37 * u64::try_from(n).unwrap(), ..layer };
            config.layers.push(CacheLayer { blob: layer.digest, parent: -1, annotations: None });
            record.results =
                vec![LayerResult { layer: index(config.layers.len()) - 1, created_at: time("2026-11-01T00:00:00Z") }];
            let diff_id = layer.digest;
            described.push(
                layer
                    .with_annotation(annotation::UNCOMPRESSED, diff_id)
                    .with_annotation(annotation::CREATED_AT, "2026-11-01T00:00:00Z")
                    .with_annotation(annotation::DESCRIPTION, format!("RUN {name} {n}")),
            );
        }
        config.records.push(record);
    }
    CacheManifest::new(config, described)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    time("2026-11-28T12:00:00Z")
}
