//! Limits of the service: waits, budgets and quotas.

use std::time::Duration;

use bytes::Bytes;
use cache_core::manifest::CacheLayer;
use cache_core::{
    CacheConfig, CacheExporter, CacheManifest, CacheStore, Descriptor, ErrorKind, MediaType, Pushed, annotation,
};
use cache_gha::{ApiVersion, Environment, GhaExporter, GhaStore};
use cache_memory::MemoryCache;
use cache_ops::export;
use cache_tests::graphs;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION};
use cache_tests::servers::actions::{Fault, Options, Plan};
use tokio::time::Instant;

use crate::{Method, assert_holds, blob, main_token, told};

#[tokio::test(start_paused = true)]
async fn throttling_resets_and_failures_are_retried_and_reported() {
    for place in [Gha::v2(), Gha::v1()] {
        for _ in 0..30 {
            let answer = Fault::Answer(429, Some(2), r#"{"code":"resource_exhausted","msg":"slow down"}"#);
            place.server().plan(Plan::new(Method::POST, "", answer).after(9));
        }
        place.server().plan(Plan::new(Method::PUT, "actions-cache", Fault::Drop).after(1));
        place.server().plan(Plan::new(Method::PUT, "actions-cache", Fault::Answer(503, None, "busy")).after(1));
        place.server().plan(Plan::new(Method::PATCH, "caches", Fault::Drop).after(1));
        place.server().plan(Plan::new(Method::GET, "cache", Fault::Answer(500, None, "oops")).after(3));
        let (settings, lines) = told();
        for seed in 0..4 {
            let cache = graphs::cache(seed);
            let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
            export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
            assert_holds(place.config_of(&main_token()), &cache).await;
        }
        let lines = lines.lock().unwrap().join("\n");
        assert!(lines.contains("retrying in 2s") && lines.contains("slow down"), "{lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_small_blobs_stay_below_the_budget_and_the_remaining_time_is_reported() {
    let place = Gha::v2();
    let environment = place.environment().with_upload_budget(20, Duration::from_secs(1));
    let source = MemoryCache::new();
    let blobs: Vec<Descriptor> = (0..300_u32)
        .map(|n| {
            let bytes = Bytes::from(n.to_string());
            let _ = source.insert(bytes.clone());
            Descriptor::of(MediaType::OCI_LAYER, &bytes)
        })
        .collect();
    let layers = blobs.iter().map(|blob| CacheLayer { blob: blob.digest, parent: -1, annotations: None });
    let config = CacheConfig { layers: layers.collect(), records: Vec::new() };
    let described = blobs.iter().map(|blob| blob.clone().with_annotation(annotation::UNCOMPRESSED, blob.digest));
    let manifest = CacheManifest::new(config, described);
    let exporter = GhaExporter::new(place.config_in(&main_token(), environment)).unwrap();
    let (settings, lines) = told();
    let begin = Instant::now();
    let report = export(&manifest, &source, &exporter, &settings.with_concurrency(8)).await.unwrap();
    assert_eq!(report.count(Pushed::Uploaded), 300);
    assert!(begin.elapsed() >= Duration::from_secs(15), "{:?}", begin.elapsed());
    let lines = lines.lock().unwrap().join("\n");
    assert!(lines.contains("throttled to stay under 20 uploads in 1 s, left Some(1"), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_stays_reached_is_named() {
    let place = Gha::v2();
    let body = r#"{"code":"resource_exhausted","msg":"rate limit exceeded"}"#;
    place.server().plan(Plan::new(Method::POST, "CreateCacheEntry", Fault::Answer(429, None, body)).times(100));
    let (desc, source) = blob("layer");
    let begin = Instant::now();
    let error = GhaExporter::new(place.config_of(&main_token())).unwrap().push(&desc, &source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.to_string().contains("rate limit exceeded") && error.hint().unwrap().contains("200 uploads"));
    assert!(begin.elapsed() > Duration::from_secs(60), "the limit is one of a minute");
}

#[tokio::test(start_paused = true)]
async fn the_size_of_entries_that_count_towards_the_quota_is_reported() {
    let place = Gha::with(ApiVersion::V2, Options { quota: 100, ..Options::default() });
    place
        .server()
        .entries(|entries| entries.insert(MAIN, "somebody-elses", VERSION, Bytes::from_static(b"1234567890")));
    let quota = GhaStore::new(place.config()).unwrap().quota().await.unwrap().unwrap();
    assert_eq!((quota.used, quota.limit), (10, 10 << 30));
}

#[test]
fn no_environment_is_shared_by_accident() {
    let shown = format!("{:?}", Environment::new());
    assert!(shown.contains("200 uploads"), "{shown}");
}
