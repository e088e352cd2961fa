//! What goes over the wire to an S3 store: how many requests, with which headers, and what is made of bad answers.

#![cfg(feature = "s3")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    BlobInfo, BlobProvider, BlobStream, CacheChains, CacheExporter, CacheImporter, CacheManifest, CacheSpec,
    CacheStore, Committed, Descriptor, Error, ErrorKind, Expect, ExportSettings, MediaType, MemoryCache, PartLimits,
    Pushed, ReadAhead, Result, RetryPolicy, Timestamp, export, publish,
};
use cache_ops::{PrunePolicy, PruneSettings, plan_prune, prune};
use cache_s3::{Credential, Environment, S3Config, S3Exporter, S3Importer, S3Store};
use cache_tests::fixtures;
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places::S3;
use cache_tests::random::Random;
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, Fault, Logged, Options, Plan, SECRET_KEY, Server};
use futures_util::future::join_all;
use futures_util::stream::{self, TryStreamExt};

type Method = hyper::Method;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

/// The smallest part that S3 takes, but for the last one.
const PART: u64 = 5 << 20;
/// Two parts and a bit.
const LARGE: usize = (11 << 20) - 1;

/// Small parts, so that a test needs no large blobs; nothing has a time limit, since time stands still.
fn environment() -> Environment {
    let environment = Environment::new().with_credential(Credential::new(ACCESS_KEY, SECRET_KEY));
    environment.with_parts(PartLimits::new(PART, 4)).with_copies(2 * PART, PART).with_timeouts(None, None)
}

fn config_of(server: &Server, environment: Environment) -> S3Config {
    S3Config::new(BUCKET, "eu-test-1", environment).with_name("main").with_endpoint(server.endpoint(), true)
}

fn config(server: &Server) -> S3Config {
    config_of(server, environment())
}

fn key(blob: &Descriptor) -> String {
    format!("blobs/{}", blob.digest)
}

async fn write(config: S3Config, cache: &Generated) -> Result<Committed, Error> {
    let exporter = S3Exporter::new(config);
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(|report| report.committed)
}

async fn bytes_of(importer: &S3Importer, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    Ok(importer.read(blob, None).await?.try_collect::<Vec<Bytes>>().await?.concat())
}

#[tokio::test(start_paused = true)]
async fn budgets_are_kept() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let exporter = S3Exporter::new(config(&server));
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(server.take_shorts(), ["HEAD blobs 404", "PUT blobs 200"]);
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Present);
    assert_eq!(server.take_shorts(), ["HEAD blobs 200"]);

    let (cache, exporter) = (graphs::cache(1), S3Exporter::new(config(&server)));
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = server.take_log();
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    assert_eq!(server.take_shorts(), ["PUT manifests 200"]);

    let importer = S3Importer::new(config(&server));
    importer.resolve().await.unwrap().unwrap();
    assert_eq!(server.take_shorts(), ["GET manifests 200"]);
    importer.stat(&small).await.unwrap().unwrap();
    assert_eq!(server.take_shorts(), ["HEAD blobs 200"]);
    bytes_of(&importer, &small).await.unwrap();
    let log = server.take_log();
    assert_eq!((log.len(), log[0].range.as_deref()), (1, None), "a whole blob is asked for without a range");
}

#[tokio::test(start_paused = true)]
async fn a_second_export_looks_and_sends_nothing() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    write(config(&server), &cache).await.unwrap();
    let _ = server.take_log();
    write(config(&server), &cache).await.unwrap();
    let shorts = server.take_shorts();
    let count = |short: &str| shorts.iter().filter(|found| *found == short).count();
    assert_eq!(count("HEAD blobs 200"), cache.manifest.blobs().len());
    // One list looks again at what was present.
    assert_eq!((count("PUT manifests 200"), count("GET list 200")), (1, 1), "{shorts:?}");
    assert_eq!(shorts.len(), cache.manifest.blobs().len() + 2, "{shorts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_is_sent_in_parts() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    let exporter = S3Exporter::new(config(&server));
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded);
    let mut shorts = server.take_shorts();
    shorts.sort();
    let expected = [
        "GET other?uploads 200",
        "HEAD blobs 404",
        "POST blobs?uploadId 200",
        "POST blobs?uploads 200",
        "PUT blobs?partNumber 200",
        "PUT blobs?partNumber 200",
        "PUT blobs?partNumber 200",
    ];
    assert_eq!(shorts, expected);
    assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len(), LARGE);
    assert!(server.uploads().keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_header_is_sent_that_other_stores_refuse() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    S3Exporter::new(config(&server)).push(&large, &source).await.unwrap();
    write(config(&server), &cache).await.unwrap();
    S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    for logged in server.take_log() {
        assert!(logged.agent.contains("aws-sdk-rust"), "{}", logged.agent);
        let authorization = logged.authorization.unwrap();
        assert!(!authorization.contains("accept-encoding"), "{authorization}");
        assert!(!authorization.contains("checksum") && !authorization.contains("trailer"), "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_those_of_buildkit() {
    let (place, cache) = (S3::new(), graphs::cache(1));
    let spec = |spec: CacheSpec| S3Config::from_spec(&spec, environment()).unwrap();
    let names = place.spec().with("prefix", "pp").with("manifests_prefix", "mm").with("name", "a/b c+d;é#");
    write(spec(names), &cache).await.unwrap();
    let keys = place.server().keys();
    assert!(keys.contains(&"ppmma/b c+d".to_owned()) && keys.contains(&"ppmmé#".to_owned()), "{keys:?}");
    let digest = cache.manifest.blobs()[0].digest;
    assert!(keys.contains(&format!("ppblobs/{digest}")), "{keys:?}");
    let [written, other] = ["ppmma/b c+d", "ppmmé#"].map(|key| fs::read(place.server().path(key)).unwrap());
    assert_eq!(written, other);
    // An import reads the first name.
    let _ = place.server().take_log();
    let both = place.spec().with("prefix", "pp").with("manifests_prefix", "mm").with("name", "a/b c+d;absent");
    assert!(S3Importer::new(spec(both)).resolve().await.unwrap().is_some());
    assert!(place.server().take_log()[0].path.contains("/ppmma/b%20c%2Bd"));
}

/// What a real BuildKit wrote is read, and written back as it was.
#[tokio::test(start_paused = true)]
async fn the_index_of_buildkit_is_kept_to_the_byte() {
    let server = Server::start(Options::default());
    let objects = fixtures::root().join("objects/v0.32");
    let index = fs::read(objects.join("s3-manifests-main.json")).unwrap();
    for directory in ["manifests", "blobs"] {
        fs::create_dir_all(server.path(directory)).unwrap();
    }
    fs::write(server.path("manifests/main"), &index).unwrap();
    let named: CacheManifest = CacheManifest::decode_flat(index.clone()).unwrap();
    for blob in named.blobs() {
        let bytes = fs::read(objects.join("blobs/sha256").join(blob.digest.hex())).unwrap();
        fs::write(server.path(&key(blob)), bytes).unwrap();
    }
    let importer = S3Importer::new(config(&server));
    let resolved = importer.resolve().await.unwrap().unwrap();
    let exporter = S3Exporter::new(config(&server).with_prefix("copy/"));
    export(&resolved.manifest, &importer, &exporter, &ExportSettings::default()).await.unwrap();
    assert_eq!(fs::read(server.path("copy/manifests/main")).unwrap(), index);
    for blob in named.blobs() {
        let copied = fs::read(server.path(&format!("copy/{}", key(blob)))).unwrap();
        assert_eq!(copied, fs::read(server.path(&key(blob))).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_cache_is_the_empty_object() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    write(config(&server), &cache).await.unwrap();
    let empty = CacheManifest::new(cache_core::CacheConfig::default(), Vec::<Descriptor>::new());
    let committed = S3Exporter::new(config(&server)).commit(&empty, Expect::Any).await.unwrap();
    assert_eq!(fs::read(server.path("manifests/main")).unwrap(), b"{}");
    let resolved = S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    assert!(resolved.manifest.is_empty() && committed.version == Some(resolved.version));
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_is_old_is_refreshed() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let exporter = S3Exporter::new(config(&server));
    exporter.push(&small, &source).await.unwrap();
    for (age, expected) in [(HOUR * 12, Pushed::Present), (HOUR * 13, Pushed::Refreshed)] {
        server.age(&key(&small), age);
        let _ = server.take_log();
        assert_eq!(exporter.push(&small, &source).await.unwrap(), expected);
        let is_refreshed = server.take_shorts() == ["HEAD blobs 200", "PUT blobs 200"];
        assert_eq!((is_refreshed, server.age_of(&key(&small)) < HOUR), (age > HOUR * 12, age > HOUR * 12));
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_that_is_old_is_refreshed_in_parts() {
    let server = Server::start(Options::default());
    // One byte less than three parts: the last range has to end with the object.
    let size = 3 * PART - 1;
    let (large, source) = blob(Random::new(1).bytes(size as usize));
    let exporter = S3Exporter::new(config(&server));
    exporter.push(&large, &source).await.unwrap();
    server.age(&key(&large), HOUR * 25);
    let _ = server.take_log();
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Refreshed);
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| *short == "PUT blobs?partNumber 200").count(), 3, "{shorts:?}");
    assert!(server.age_of(&key(&large)) < HOUR && server.uploads().keys().is_empty());
    assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len() as u64, size);

    server.age(&key(&large), HOUR * 25);
    server.plan(Plan::new(Method::PUT, "partNumber=2", Fault::Answer(403, None, "")));
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded, "what cannot be copied is sent");
    assert!(server.uploads().keys().is_empty(), "the upload that failed is aborted");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_copy_is_sent_what_is_old() {
    let server = Server::start(Options { copies: false, ..Options::default() });
    let (cache, exporter) = (graphs::cache(1), S3Exporter::new(config(&server)));
    let settings = ExportSettings::default();
    export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    cache.manifest.blobs().iter().for_each(|blob| server.age(&key(blob), HOUR * 25));
    let report = export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    assert_eq!(report.count(Pushed::Uploaded), cache.manifest.blobs().len());
    assert!(cache.manifest.blobs().iter().all(|blob| server.age_of(&key(blob)) < HOUR));
}

#[tokio::test(start_paused = true)]
async fn conditions_are_tried_out_once() {
    let (server, environment) = (Server::start(Options::default()), environment());
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    let commit = async |cache: &Generated, expect| {
        let exporter = S3Exporter::new(config_of(&server, environment.clone()));
        let settings = ExportSettings::default().with_expect(expect);
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.map(|report| report.committed)
    };
    commit(&first, Expect::Absent).await.unwrap();
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT other 412").count(), 0);
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT blobs 412").count(), 2, "{shorts:?}");
    assert_eq!(commit(&second, Expect::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT blobs 412").count(), 0, "{shorts:?}");
    assert!(!server.keys().iter().any(|key| key.contains("buildcache-")), "{:?}", server.keys());
}

#[tokio::test(start_paused = true)]
async fn without_conditions_it_is_looked_before_and_after() {
    let server = Server::start(Options { honours_conditions: false, ..Options::default() });
    let [first, second] = [1, 2].map(graphs::cache);
    let commit = async |cache: &Generated, expect| {
        let settings = ExportSettings::default().with_expect(expect);
        let exporter = S3Exporter::new(config(&server));
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.map(|report| report.committed)
    };
    let version = commit(&first, Expect::Absent).await.unwrap().version.unwrap();
    assert_eq!(commit(&second, Expect::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
    commit(&second, Expect::Version(version.clone())).await.unwrap();
    assert_eq!(commit(&first, Expect::Version(version)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let resolved = S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    assert_eq!(resolved.manifest.blobs().len(), second.manifest.blobs().len());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_conditional_commit_is_no_conflict() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    let exporter = S3Exporter::new(config(&server));
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    // The write happens, and nobody is told.
    server.plan(Plan::new(Method::PUT, "manifests/main", Fault::DropAnswer));
    exporter.commit(&cache.manifest, Expect::Absent).await.unwrap();
    let shorts = server.take_shorts();
    assert!(shorts.contains(&"PUT manifests 412".to_owned()), "{shorts:?}");
}

/// Two writers to one name, 50 times: with `publish` nothing of either is lost.
#[tokio::test(start_paused = true)]
async fn two_publishers_lose_nothing_in_50_rounds() {
    let server = Server::start(Options::default());
    let environment = environment();
    for round in 0..50 {
        let place = config_of(&server, environment.clone()).with_prefix(format!("{round}/"));
        let caches = [graphs::cache(2 * round), graphs::cache(2 * round + 1)];
        let publishes = caches.iter().map(|cache| {
            let place = place.clone();
            async move {
                let (importer, exporter) = (S3Importer::new(place.clone()), S3Exporter::new(place));
                publish(&cache.chains, &cache.blobs, (&importer, &exporter), &ExportSettings::default()).await
            }
        });
        for published in join_all(publishes).await {
            published.unwrap();
        }
        let found = S3Importer::new(place).resolve().await.unwrap().unwrap().manifest;
        let found = CacheChains::from_manifest(&found).unwrap();
        let has = |key| found.records().any(|record| found.key(record) == key);
        for cache in &caches {
            assert!(cache.chains.records().all(|record| has(cache.chains.key(record))), "round {round}");
        }
    }
}

/// Two writers on a condition, 50 times: exactly one commits. Without one both do, and one of them is there, whole.
#[tokio::test(start_paused = true)]
async fn of_two_conditional_writers_one_commits_in_50_rounds() {
    let server = Server::start(Options::default());
    let environment = environment();
    for round in 0..50 {
        let place = config_of(&server, environment.clone()).with_prefix(format!("{round}/"));
        for expect in [Expect::Absent, Expect::Any] {
            let caches = [graphs::cache(2 * round), graphs::cache(2 * round + 1)];
            let settings = ExportSettings::default().with_expect(expect.clone());
            let (settings, place) = (&settings, &place);
            let writes = join_all(caches.iter().map(|cache| async move {
                let exporter = S3Exporter::new(place.clone());
                export(&cache.manifest, &cache.blobs, &exporter, settings).await
            }));
            let versions: Vec<_> =
                writes.await.into_iter().map(|written| written.map(|report| report.committed)).collect();
            let won: Vec<_> = versions.iter().flatten().filter_map(|committed| committed.version.clone()).collect();
            assert_eq!(won.len(), if expect == Expect::Any { 2 } else { 1 }, "round {round}: {versions:?}");
            let lost = versions.iter().filter_map(|version| version.as_ref().err());
            assert!(lost.into_iter().all(|error| error.kind() == ErrorKind::Conflict));
            let found = S3Importer::new(place.clone()).resolve().await.unwrap().unwrap();
            assert!(won.contains(&found.version), "round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let faults = [
        Fault::Answer(500, None, "oops"),
        Fault::Answer(503, None, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"),
        Fault::Answer(429, Some(1), ""),
        Fault::Drop,
        Fault::DropAnswer,
    ];
    for fault in faults {
        let server = Server::start(Options::default());
        let (large, source) = blob(Random::new(1).bytes(LARGE));
        for (method, path) in [
            (Method::HEAD, "blobs"),
            (Method::POST, "uploads"),
            (Method::PUT, "partNumber=2"),
            (Method::POST, "uploadId"),
            (Method::PUT, "manifests"),
            (Method::GET, "manifests"),
            (Method::GET, "/blobs/"),
        ] {
            // An upload whose name was lost on the way stays open; the next run aborts it.
            let is_unknowable = fault == Fault::DropAnswer && (method == Method::POST && path == "uploads");
            if !is_unknowable {
                server.plan(Plan::new(method, path, fault.clone()).times(2));
            }
        }
        let (exporter, importer) = (S3Exporter::new(config(&server)), S3Importer::new(config(&server)));
        assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded, "{fault:?}");
        assert!(server.uploads().keys().is_empty(), "{fault:?}");
        write(config(&server), &graphs::cache(1)).await.unwrap();
        assert!(importer.resolve().await.unwrap().is_some(), "{fault:?}");
        assert_eq!(bytes_of(&importer, &large).await.unwrap().len(), LARGE, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_goes_on_where_it_stopped() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    S3Exporter::new(config(&server)).push(&large, &source).await.unwrap();
    let _ = server.take_log();
    server.plan(Plan::new(Method::GET, "blobs", Fault::DropAfter(7 << 20)));
    let whole = environment().with_read_ahead(ReadAhead::new(1 << 30, 0));
    assert_eq!(bytes_of(&S3Importer::new(config_of(&server, whole)), &large).await.unwrap().len(), LARGE);
    let log = server.take_log();
    let ranges: Vec<_> = log.iter().map(|logged| logged.range.as_deref()).collect();
    assert!(matches!(ranges[..], [None, Some(range)] if range.ends_with(&format!("-{}", LARGE - 1))), "{ranges:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_is_read_in_parts_that_go_on_where_they_broke() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    S3Exporter::new(config(&server)).push(&large, &source).await.unwrap();
    let _ = server.take_log();
    server.plan(Plan::new(Method::GET, "blobs", Fault::DropAfter(1 << 20)).after(1));
    assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len(), LARGE);
    let log = server.take_log();
    let part = 4 << 20;
    let starts: BTreeSet<String> = (0..LARGE).step_by(part).map(|start| format!("bytes={start}-")).collect();
    let is_start = |logged: &&Logged| starts.iter().any(|start| logged.range.as_deref().unwrap().starts_with(start));
    assert_eq!(log.iter().filter(is_start).count(), starts.len());
    assert_eq!(log.len(), starts.len() + 1, "one part broke");
}

/// A blob and more is another blob, in however many parts it is read.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_longer_than_its_blob_is_refused() {
    let server = Server::start(Options::default());
    for size in [100, LARGE] {
        let (blob, source) = blob(Random::new(1).bytes(size));
        S3Exporter::new(config(&server)).push(&blob, &source).await.unwrap();
        let path = server.path(&key(&blob));
        fs::write(&path, [fs::read(&path).unwrap(), b"more".to_vec()].concat()).unwrap();
        let read = bytes_of(&S3Importer::new(config(&server)), &blob).await;
        let error = read.map(|bytes| bytes.len()).unwrap_err();
        assert_eq!((error.kind(), error.context("got")), (ErrorKind::DigestMismatch, Some(&*(size + 4).to_string())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_well_is_given_up_and_leaves_nothing_open() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    server.plan(Plan::new(Method::PUT, "partNumber=2", Fault::Answer(500, None, "")).times(100));
    let error = S3Exporter::new(config(&server)).push(&large, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("tries")), (ErrorKind::Unavailable, Some("6")), "{error:?}");
    assert!(!error.is_retryable() && server.uploads().keys().is_empty());
}

/// One line each, with the server's words and what to do; a refused HEAD is asked for in words.
#[tokio::test(start_paused = true)]
async fn refusals_are_told_in_the_stores_words() {
    let wrong_secret = Environment::new().with_credential(Credential::new(ACCESS_KEY, "hush-hush"));
    let good = environment();
    let denied = r#"<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"#;
    let expired = r#"<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"#;
    let nobody =
        r#"<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code><Message>It does not exist.</Message></Error>"#;
    let cases = [
        (wrong_secret, BUCKET, None, ErrorKind::Unauthenticated, "SignatureDoesNotMatch"),
        (good.clone(), BUCKET, Some((403, nobody)), ErrorKind::Unauthenticated, "InvalidAccessKeyId"),
        (good.clone(), "nobody", None, ErrorKind::NotFound, "NoSuchBucket"),
        (good.clone(), BUCKET, Some((403, denied)), ErrorKind::PermissionDenied, "AccessDenied"),
        (good, BUCKET, Some((400, expired)), ErrorKind::Unauthenticated, "ExpiredToken"),
    ];
    for (environment, bucket, fault, kind, code) in cases {
        let server = Server::start(Options::default());
        let environment = environment.with_timeouts(None, None).with_retry(RetryPolicy::never());
        let place = S3Config::new(bucket, "eu-test-1", environment).with_endpoint(server.endpoint(), true);
        for method in [Method::GET, Method::HEAD, Method::GET] {
            let answer = fault.map(|(status, body)| Plan::new(method, "", Fault::Answer(status, None, body)));
            answer.into_iter().for_each(|plan| server.plan(plan));
        }
        let read = S3Importer::new(place.clone()).resolve().await.unwrap_err();
        let written = write(place, &graphs::cache(1)).await.unwrap_err();
        for error in [read, written] {
            assert_eq!(error.kind(), kind, "{code} {error:?} {:?}", server.take_shorts());
            assert!(error.context("server").unwrap().contains(code), "{error}");
            assert!(error.hint().is_some() && !error.to_string().contains('\n'), "{error}");
            let shown = format!("{error:?}");
            assert!(!shown.contains("hush-hush") && !shown.contains(SECRET_KEY), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_stores_is_no_empty_cache() {
    let server = Server::start(Options::default());
    server.plan(Plan::new(Method::GET, "manifests", Fault::Answer(404, None, "<html>not here</html>")));
    let error = S3Importer::new(config(&server)).resolve().await.unwrap_err();
    assert_eq!(error.context("server"), Some("<html>not here</html>"));
}

#[tokio::test(start_paused = true)]
async fn thousands_are_listed_in_pages_and_deleted_in_batches() {
    for deletes_batches in [true, false] {
        let server = Server::start(Options { deletes_batches, ..Options::default() });
        let exporter = S3Exporter::new(config(&server));
        for number in 0..120_u32 {
            let (blob, source) = blob(number.to_le_bytes().to_vec());
            exporter.push(&blob, &source).await.unwrap();
        }
        let store = S3Store::new(config(&server));
        let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
        assert_eq!(listed.len(), 120);
        let _ = server.take_log();
        let deleted = store.delete_blobs(&listed[..100]).await;
        assert!(deleted.iter().all(|outcome| matches!(outcome, Ok(cache_core::Deleted::Removed))), "{deleted:?}");
        let shorts = server.take_shorts();
        let lists = shorts.iter().filter(|short| *short == "GET list 200").count();
        assert_eq!(lists, 2, "{shorts:?}");
        assert_eq!(shorts.len(), if deletes_batches { 3 } else { 103 }, "{shorts:?}");
        assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_was_refreshed_since_it_was_listed_stays() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let (exporter, store) = (S3Exporter::new(config(&server)), S3Store::new(config(&server)));
    exporter.push(&small, &source).await.unwrap();
    server.age(&key(&small), HOUR * 25);
    let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Refreshed);
    let outcome = store.delete_blobs(&listed).await.remove(0);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(server.keys().contains(&key(&small)));
}

/// A source that never gets anywhere, and tells when its bytes are asked for.
#[derive(Default)]
struct Stuck {
    is_asked: Arc<AtomicBool>,
}

#[async_trait]
impl BlobProvider for Stuck {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        Ok(Some(BlobInfo::new(blob.size)))
    }

    async fn read(&self, _: &Descriptor, _: Option<Range<u64>>) -> Result<BlobStream> {
        let is_asked = Arc::clone(&self.is_asked);
        Ok(Box::pin(stream::poll_fn(move |_| {
            is_asked.store(true, Ordering::Relaxed);
            Poll::Pending
        })))
    }
}

/// Pushes until the upload is open and the exporter knows its name, and no further.
async fn begin(server: &Server, exporter: &S3Exporter, blob: &Descriptor) {
    let stuck = Stuck::default();
    let is_open = async {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !stuck.is_asked.load(Ordering::Relaxed) && std::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        pushed = exporter.push(blob, &stuck) => panic!("the source is stuck: {pushed:?}"),
        () = is_open => {}
    }
    assert_eq!(server.uploads().keys().len(), 1);
}

/// A writer whose runtime ends with it leaves its upload open.
fn die(server: &Server, blob: &Descriptor) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let exporter = S3Exporter::new(config(server));
            runtime.block_on(begin(server, &exporter, blob));
        });
    });
}

#[tokio::test]
async fn the_upload_of_a_dead_writer_is_aborted_by_the_next_run_and_by_prune() {
    let server = Server::start(Options::default());
    let [(first, first_source), (second, second_source)] = [1, 2].map(|seed| blob(Random::new(seed).bytes(LARGE)));
    die(&server, &first);
    S3Exporter::new(config(&server)).push(&first, &first_source).await.unwrap();
    assert_eq!(server.uploads().keys().len(), 1, "it may still be alive");
    server.uploads().age(HOUR * 25);
    S3Exporter::new(config(&server)).push(&second, &second_source).await.unwrap();
    assert!(server.uploads().keys().is_empty());

    server.lose(&first.digest);
    die(&server, &first);
    let store = S3Store::new(config(&server));
    assert_eq!(store.abort_uploads("2020-01-01T00:00:00Z".parse().unwrap()).await.unwrap(), 0);
    server.uploads().age(HOUR);
    assert_eq!(store.abort_uploads(Timestamp::now()).await.unwrap(), 1);
    assert!(server.uploads().keys().is_empty());
}

/// The grace is that of S3: what was written a day ago may still count.
#[tokio::test]
async fn a_prune_lists_in_pages_deletes_at_once_and_aborts_the_upload_of_a_day_ago() {
    let server = Server::start(Options::default());
    write(config(&server), &graphs::cache(1)).await.unwrap();
    let kept = server.keys().iter().filter(|key| key.starts_with("blobs/")).count();
    let exporter = S3Exporter::new(config(&server));
    for number in 0..121_u32 {
        let (blob, source) = blob(number.to_le_bytes().to_vec());
        exporter.push(&blob, &source).await.unwrap();
        server.age(&key(&blob), if number == 0 { HOUR * 24 } else { HOUR * 26 });
    }
    let (large, _) = blob(Random::new(1).bytes(LARGE));
    die(&server, &large);
    let store = S3Store::new(config(&server));
    let plan = plan_prune(&store, &PrunePolicy::new("s3"), Timestamp::now()).await.unwrap();
    assert_eq!((plan.grace(), plan.young_blobs, plan.blobs.as_ref().map(Vec::len)), (HOUR * 25, 1, Some(120)));

    let _ = server.take_log();
    server.uploads().age(HOUR * 26);
    let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, report.uploads, server.uploads().keys().len()), (120, 1, 0));
    let shorts = server.take_shorts();
    let count = |short: &str| shorts.iter().filter(|logged| *logged == short).count();
    // The blobs twice, 50 on a page, and the caches once.
    assert_eq!(count("GET list 200"), 2 * (kept + 121).div_ceil(50) + 1, "{shorts:?}");
    assert_eq!((count("POST other?delete 200"), count("GET manifests 200")), (1, 1), "{shorts:?}");
    assert_eq!((count("GET other?uploads 200"), count("DELETE blobs?uploadId 204")), (1, 1), "{shorts:?}");
    assert_eq!(shorts.len(), count("GET list 200") + 4, "{shorts:?}");
    assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), kept + 1);
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted() {
    let place = S3::new();
    let (large, _) = blob(Random::new(1).bytes(LARGE));
    begin(place.server(), &S3Exporter::new(config(place.server())), &large).await;
    assert!(place.leftovers().await.is_empty());
}
