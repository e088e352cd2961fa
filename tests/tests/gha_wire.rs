//! What goes over the wire to the cache service: how many requests, under which limits, and what is made of bad answers.

#![cfg(feature = "gha")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{
    BlobProvider, CacheConfig, CacheExporter, CacheImporter, CacheLayer, CacheManifest, CacheProbe, CacheStore,
    CopyOptions, Depth, Descriptor, Digest, Error, ErrorKind, Event, Expect, ExportSettings, MediaType, MemoryCache,
    PartLimits, Pushed, ReadAhead, Secret, annotation, copy_manifest, export, verify,
};
use cache_gha::{ApiVersion, Environment, GhaConfig, GhaExporter, GhaImporter, GhaProbe, GhaStore};
use cache_tests::faulty::{Fault as Flaw, Faulty};
use cache_tests::graphs::{self, Generated};
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION, token};
use cache_tests::random::Random;
use cache_tests::servers::actions::{Fault, KINDS, Options, Plan, Server};
use futures_util::stream::{StreamExt, TryStreamExt};
use tokio::time::Instant;

type Method = hyper::Method;

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

fn main_token() -> String {
    token(&[(MAIN, 3)])
}

/// The requests since the last call, in short.
fn shorts(server: &Server) -> Vec<String> {
    server.take_log().iter().map(|logged| logged.short(&KINDS)).collect()
}

async fn write(config: GhaConfig, cache: &Generated) -> Result<(), Error> {
    let exporter = GhaExporter::new(config)?;
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(drop)
}

async fn assert_holds(config: GhaConfig, cache: &Generated) {
    let importer = GhaImporter::new(config).unwrap();
    let found = importer.resolve().await.unwrap().expect("the place holds a cache").manifest;
    assert_eq!(found.config().records, cache.manifest.config().records);
    let report = verify(&found, &importer, Depth::Deep, 4).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

/// Settings whose events are kept as text.
fn told() -> (ExportSettings, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keeper = Arc::clone(&lines);
    let keep = move |event: &Event<'_>| match event {
        Event::Retrying { error, wait } => keeper.lock().unwrap().push(format!("retrying in {wait:?}: {error}")),
        Event::Throttled { reason, left, .. } => keeper.lock().unwrap().push(format!("{reason}, left {left:?}")),
        _ => {}
    };
    (ExportSettings::default().with_progress(Arc::new(keep)), lines)
}

#[tokio::test(start_paused = true)]
async fn budgets_are_kept_by_version_2() {
    let place = Gha::v2();
    let (desc, source) = blob("layer");
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    let write = ["POST CreateCacheEntry 200", "PUT actions-cache/ 201", "POST FinalizeCacheEntryUpload 200"];
    let lookup = "POST GetCacheEntryDownloadURL 200";
    assert_eq!(shorts(place.server()), [&[lookup], &write[..]].concat());
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Present);
    assert_eq!(shorts(place.server()), [lookup]);

    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = shorts(place.server());
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), [&[lookup], &write[..]].concat());
    GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), [lookup, "GET actions-cache/ 200"]);
}

#[tokio::test(start_paused = true)]
async fn budgets_are_kept_by_version_1() {
    let place = Gha::v1();
    let (desc, source) = blob("layer");
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    exporter.push(&desc, &source).await.unwrap();
    let (miss, hit) = ("GET artifactcache/cache 204", "GET artifactcache/cache 200");
    let write = ["POST artifactcache/caches 201", "PATCH artifactcache/caches 204", "POST artifactcache/caches 204"];
    assert_eq!(shorts(place.server()), [&[miss], &write[..]].concat());
    exporter.push(&desc, &source).await.unwrap();
    assert_eq!(shorts(place.server()), [hit]);
    exporter.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), [&[miss], &write[..]].concat());
    GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), [hit, "GET artifactcache/artifact/ 200"]);
}

#[tokio::test(start_paused = true)]
async fn one_list_takes_the_place_of_a_lookup_for_each_blob() {
    let place = Gha::v2();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let _ = place.server().take_log();
    write(place.config(), &cache).await.unwrap();
    let log = place.server().take_log();
    let count = |method: &str, kind: &str| Server::count(&log, method, kind);
    // One list before the blobs, and one before the index that tells whether they are still there.
    assert_eq!(count("GET", "actions/caches"), 2);
    assert_eq!((count("POST", "GetCacheEntry"), count("POST", "CreateCacheEntry"), count("PUT", "")), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_second_export_uploads_no_blob() {
    for place in [Gha::v2(), Gha::v1()] {
        let cache = graphs::cache(3);
        write(place.config_of(&main_token()), &cache).await.unwrap();
        let _ = place.server().take_log();
        write(place.config_of(&main_token()), &cache).await.unwrap();
        let log = place.server().take_log();
        let reserved = Server::count(&log, "POST", "CreateCacheEntry")
            + log.iter().filter(|l| l.status == 201 && l.method == Method::POST).count();
        assert_eq!(reserved, 1, "only the index is new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_is_said_and_blobs_are_looked_up() {
    let place = Gha::v2();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let config = place.config_of(&main_token()).with_repository("octo/repo", Secret::new("wrong-hush")).unwrap();
    let (settings, lines) = told();
    let exporter = GhaExporter::new(config).unwrap();
    let report = export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    assert_eq!(report.count(Pushed::Present), cache.manifest.blobs().len());
    let lines = lines.lock().unwrap().join("\n");
    assert!(lines.contains("looked up one by one") && lines.contains("Bad credentials"), "{lines}");
    assert!(!lines.contains("wrong-hush"), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn throttling_resets_and_failures_are_waited_out_and_said() {
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
async fn a_url_that_expires_while_a_blob_is_read_is_looked_up_again() {
    for place in [Gha::v2(), Gha::v1()] {
        let bytes = Random::new(7).bytes(300_000);
        let (desc, source) = blob(bytes.clone());
        GhaExporter::new(place.config_of(&main_token())).unwrap().push(&desc, &source).await.unwrap();
        let importer = GhaImporter::new(place.config_of(&main_token())).unwrap();
        for path in ["actions-cache", "artifact/"] {
            place.server().plan(Plan::new(Method::GET, path, Fault::DropAfter(100_000)));
        }
        let mut stream = importer.read(&desc, None).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        place.server().expire_urls();
        let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!([first.as_ref(), &rest.concat()].concat() == bytes);
        let log = place.server().take_log();
        assert_eq!(log.iter().filter(|logged| logged.status == 403).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_cannot_be_uploaded_is_a_failure_and_the_old_cache_stays() {
    let place = Gha::v2();
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    write(place.config_of(&main_token()), &old).await.unwrap();
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    for blob in new.manifest.blobs() {
        exporter.push(blob, &new.blobs).await.unwrap();
    }
    place.server().plan(Plan::new(Method::PUT, "actions-cache", Fault::Answer(403, None, "no")));
    let error = exporter.commit(&new.manifest, Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.context("server")), (ErrorKind::PermissionDenied, Some("no")), "{error:?}");
    assert!(error.hint().unwrap().contains("run again"));
    assert_holds(place.config_of(&main_token()), &old).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_on_the_way_does_no_harm() {
    for (place, path) in [(Gha::v2(), "FinalizeCacheEntryUpload"), (Gha::v1(), "artifactcache/caches/")] {
        place.server().plan(Plan::new(Method::POST, path, Fault::DropAfter(0)));
        let cache = graphs::cache(1);
        write(place.config_of(&main_token()), &cache).await.unwrap();
        assert_holds(place.config_of(&main_token()), &cache).await;
    }
}

#[tokio::test(start_paused = true)]
async fn large_blobs_go_in_parts() {
    for (place, kind, parts) in [(Gha::v2(), "comp=block&", 5), (Gha::v1(), "artifactcache/caches/", 6)] {
        let bytes = Random::new(5).bytes((4 << 20) + 1);
        let (desc, source) = blob(bytes.clone());
        let environment = place.environment().with_parts(PartLimits::new(1 << 20, 3));
        let config = place.config_in(&main_token(), environment);
        GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
        let log = place.server().take_log();
        assert_eq!(log.iter().filter(|logged| logged.path.contains(kind)).count(), parts, "{log:?}");
        let stream = GhaImporter::new(config).unwrap().read(&desc, None).await.unwrap();
        assert!(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat() == bytes);
    }
}

/// A service that knows no ranges is asked once.
#[tokio::test(start_paused = true)]
async fn a_large_blob_is_read_in_parts_that_go_on_where_they_broke() {
    for (api, kind) in [(ApiVersion::V2, "actions-cache/"), (ApiVersion::V1, "artifactcache/artifact/")] {
        for (ranges, requests) in [(true, vec![206; 11]), (false, vec![200])] {
            let place = Gha::with(api, Options { ranges, ..Options::default() });
            let bytes = Random::new(5).bytes(950);
            let (desc, source) = blob(bytes.clone());
            let environment = place.environment().with_read_ahead(ReadAhead::new(100, 3));
            let config = place.config_in(&main_token(), environment);
            GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
            let _ = place.server().take_log();
            place.server().plan(Plan::new(Method::GET, kind, Fault::DropAfter(60)).after(1));
            let stream = GhaImporter::new(config).unwrap().read(&desc, None).await.unwrap();
            assert!(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat() == bytes, "{api:?}");
            let log = place.server().take_log();
            let reads = log.iter().filter(|logged| logged.path.contains(kind)).map(|logged| logged.status);
            assert_eq!(reads.collect::<Vec<_>>(), requests, "{api:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_another_length_is_refused_in_parts_too() {
    let place = Gha::v2();
    let (desc, source) = blob(Random::new(5).bytes(950));
    let environment = place.environment().with_read_ahead(ReadAhead::new(100, 3));
    let config = place.config_in(&main_token(), environment);
    GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
    let shorter = Descriptor { size: 940, ..desc };
    let error = GhaImporter::new(config).unwrap().read(&shorter, None).await.err().unwrap();
    assert_eq!((error.kind(), error.context("got")), (ErrorKind::DigestMismatch, Some("950")), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_whose_source_fails_goes_on_with_its_own_reservation() {
    let place = Gha::v2();
    let (desc, source) = blob(Random::new(5).bytes(3 << 20));
    let environment = place.environment().with_parts(PartLimits::new(1 << 20, 3));
    let exporter = GhaExporter::new(place.config_in(&main_token(), environment)).unwrap();
    let flawed = Faulty::new(&source).with(desc.digest, Flaw::Fail(ErrorKind::Unavailable, 2 << 20));
    assert!(exporter.push(&desc, &flawed).await.unwrap_err().is_retryable());
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_was_reserved_and_never_finished_is_unavailable() {
    for place in [Gha::v2(), Gha::v1()] {
        let (desc, source) = blob("layer");
        let key = format!("buildkit-blob-1-{}", desc.digest);
        place.server().entries(|entries| entries.insert_reserved(MAIN, &key, VERSION));
        let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
        let begin = Instant::now();
        let error = exporter.push(&desc, &source).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!error.is_retryable() && error.hint().unwrap().contains("buildcache rm"), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(GhaImporter::new(place.config_of(&main_token())).unwrap().stat(&desc).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_only_reads_is_refused_before_anything_is_sent() {
    let place = Gha::v2();
    let (desc, source) = blob("layer");
    let exporter = GhaExporter::new(place.config_of(&token(&[(MAIN, 1)]))).unwrap();
    let error = exporter.push(&desc, &source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let error = exporter.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(place.server().take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_words_is_passed_on() {
    let cases = [
        (
            r#"{"ok":false,"message":"cache write denied: fork"}"#,
            ErrorKind::PermissionDenied,
            "cache write denied: fork",
        ),
        (r#"{"ok":false,"message":"storage quota exceeded"}"#, ErrorKind::LimitExceeded, "storage quota exceeded"),
        (r#"{"ok":false}"#, ErrorKind::Unavailable, "no reason given"),
    ];
    for (body, kind, words) in cases {
        let place = Gha::v2();
        place.server().plan(Plan::new(Method::POST, "CreateCacheEntry", Fault::Answer(200, None, body)));
        let (desc, source) = blob("layer");
        let error = GhaExporter::new(place.config_of(&main_token())).unwrap().push(&desc, &source).await.unwrap_err();
        assert_eq!((error.kind(), error.context("server")), (kind, Some(words)), "{error:?}");
    }
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
async fn many_small_blobs_stay_under_the_budget_and_the_end_is_told() {
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
async fn entries_that_count_against_the_quota_are_weighed() {
    let place = Gha::with(ApiVersion::V2, Options { quota: 100, ..Options::default() });
    place
        .server()
        .entries(|entries| entries.insert(MAIN, "somebody-elses", VERSION, Bytes::from_static(b"1234567890")));
    let quota = GhaStore::new(place.config()).unwrap().quota().await.unwrap().unwrap();
    assert_eq!((quota.used, quota.limit), (10, 10 << 30));
}

#[tokio::test(start_paused = true)]
async fn a_store_without_the_rest_api_says_what_it_needs() {
    let place = Gha::v2();
    let error = GhaStore::new(place.config_of(&main_token())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("repository") && error.hint().unwrap().contains("ghtoken"));
}

#[tokio::test(start_paused = true)]
async fn lists_are_read_to_their_last_page() {
    let place = Gha::v2();
    place.server().entries(|entries| {
        for n in 0..250_u32 {
            let key = format!("buildkit-blob-1-{}", Digest::sha256(&n.to_le_bytes()));
            entries.insert(MAIN, &key, VERSION, Bytes::from(n.to_string()));
        }
    });
    let store = GhaStore::new(place.config()).unwrap();
    assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 250);
    assert_eq!(place.server().take_log().len(), 3);
}

/// What BuildKit stored comes out and goes back in under the very same keys.
#[tokio::test(start_paused = true)]
async fn a_cache_of_buildkit_copied_out_and_in_makes_the_keys_of_buildkit() {
    let root = cache_tests::fixtures::root().join("objects/v0.32");
    let listed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("gha-entries.json")).unwrap()).unwrap();
    let from = Gha::v2();
    let mut expected = Vec::new();
    for entry in listed.as_array().unwrap() {
        let [key, version, scope] = ["key", "version", "scope"].map(|name| entry[name].as_str().unwrap());
        let bytes = match key.strip_prefix("buildkit-blob-1-sha256:") {
            Some(hex) => std::fs::read(root.join("blobs").join(hex))
                .or_else(|_| std::fs::read(root.join("blobs/sha256").join(hex)))
                .or_else(|_| std::fs::read(root.join("blobs").join(format!("sha256:{hex}")))),
            None => std::fs::read(root.join("gha-index.json")),
        };
        from.server().entries(|entries| entries.insert(scope, key, version, bytes.unwrap().into()));
        expected.push((key.to_owned(), version.to_owned(), scope.to_owned(), entry["size"].as_u64().unwrap()));
    }
    let importer = GhaImporter::new(from.config()).unwrap();
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    let out = MemoryCache::new();
    let settings = ExportSettings::default();
    let copied = copy_manifest(manifest, &importer, &out, CopyOptions::default(), &settings).await.unwrap();
    for place in [Gha::v2(), Gha::v1()] {
        let exporter = GhaExporter::new(place.config()).unwrap();
        export(&copied.manifest, &out, &exporter, &settings).await.unwrap();
        let mut found: Vec<_> = place.server().entries(|entries| {
            let all = entries.iter().map(|e| (e.key.clone(), e.version.clone(), e.scope.clone(), e.size()));
            all.collect()
        });
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let index = place.server().entries(|entries| {
            entries.iter().find(|entry| entry.key.starts_with("index-")).and_then(|entry| entry.bytes.clone())
        });
        assert_eq!(index.unwrap(), std::fs::read(root.join("gha-index.json")).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_leaves_nothing_and_says_who_may_not_write() {
    let place = Gha::v2();
    let found = GhaProbe::new(place.config()).diagnose().await.unwrap();
    assert!(found.checks.iter().all(cache_core::Check::works), "{found:?}");
    assert_eq!(found.recommended.unwrap().to_string(), "type=gha,mode=max,scope=buildkit,version=2");
    assert_eq!(place.server().entries(|entries| entries.iter().count()), 0);
    let found = GhaProbe::new(place.config_of(&token(&[(MAIN, 1)]))).diagnose().await.unwrap();
    assert!(found.is_denied() && found.recommended.is_none() && found.leftovers.is_empty(), "{found:?}");
}

#[test]
fn no_environment_is_shared_by_accident() {
    let shown = format!("{:?}", Environment::new());
    assert!(shown.contains("200 uploads"), "{shown}");
}
