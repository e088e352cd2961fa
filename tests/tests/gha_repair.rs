//! A blob that was reserved and never finished: it cannot be read, and its key is taken.

#![cfg(feature = "gha")]

use std::collections::HashSet;

use cache_core::graph::FindingCode;
use cache_core::{CacheChains, CacheImporter, Expect};
use cache_gha::{GhaExporter, GhaImporter};
use cache_ops::{Depth, ExportSettings, OptimizeOptions, RepairOptions, export, optimize, repair, verify};
use cache_tests::graphs::{self, found};
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION, token};

#[tokio::test(start_paused = true)]
async fn a_blob_that_was_reserved_and_never_finished_is_missing_and_repaired() {
    for (place, depth) in [(Gha::v2(), Depth::Fast), (Gha::v2(), Depth::Deep), (Gha::v1(), Depth::Deep)] {
        let cache = graphs::cache(1);
        let config = place.config_of(&token(&[(MAIN, 3)]));
        let (importer, exporter) = (GhaImporter::new(config.clone()).unwrap(), GhaExporter::new(config).unwrap());
        export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
        let lost = cache.manifest.blobs()[0].digest;
        unfinish(&place, &lost.hex());
        let damaged = importer.resolve().await.unwrap().unwrap();
        let report = verify(&damaged.manifest, &importer, depth, 4).await.unwrap();
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [FindingCode::BlobMissing]);
        let repaired = repair(&damaged.manifest, &importer, RepairOptions::default().with_depth(depth)).await.unwrap();
        let settings = ExportSettings::default().with_expect(Expect::Version(damaged.version));
        export(&repaired.manifest, &importer, &exporter, &settings).await.unwrap();
        let after = importer.resolve().await.unwrap().unwrap().manifest;
        assert_eq!(verify(&after, &importer, Depth::Deep, 4).await.unwrap().findings, []);
        let mut untouched = cache.chains.clone();
        untouched.drop_results_needing(&HashSet::from([lost]));
        let untouched = optimize(&untouched.to_manifest(), &OptimizeOptions::default()).unwrap().manifest;
        let untouched = CacheChains::from_manifest(&untouched).unwrap();
        assert!(!untouched.is_empty());
        assert_eq!(found(&untouched, &CacheChains::from_manifest(&after).unwrap()), untouched.len());
    }
}

/// Replaces the entries whose keys contain `part` by reservations.
fn unfinish(place: &Gha, part: &str) {
    place.server().entries(|entries| {
        let keys: Vec<String> =
            entries.iter().map(|entry| entry.key.clone()).filter(|key| key.contains(part)).collect();
        assert_eq!(keys.len(), 1);
        entries.remove(|entry| entry.key.contains(part));
        keys.iter().for_each(|key| entries.insert_reserved(MAIN, key, VERSION));
    });
}
