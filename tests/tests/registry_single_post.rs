//! Blobs in the request that otherwise starts an upload.

#![cfg(feature = "registry")]

use cache_core::{CacheExporter, Descriptor, ErrorKind, MediaType, Pushed};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_registry::RegistryExporter;
use cache_tests::counting::Counting;
use cache_tests::graphs;
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Fault, KINDS, Options, Plan};

type Method = hyper::Method;

const IN_TWO: [&str; 3] = ["HEAD blobs 404", "POST blobs/uploads 202", "PUT blobs/uploads 201"];
const IN_ONE: [&str; 2] = ["HEAD blobs 404", "POST blobs/uploads 201"];

fn posting() -> Registry {
    Registry::with(Options { takes_posts: true, ..Options::default() })
}

fn shorts(place: &Registry) -> Vec<String> {
    let log = place.server().take_log();
    let log = log.iter().filter(|logged| logged.status != 401 && !logged.path.starts_with("/token"));
    log.map(|logged| logged.short(&KINDS)).collect()
}

/// Pushes a blob of this size, and returns the requests for it.
async fn push(place: &Registry, exporter: &RegistryExporter, size: usize) -> Vec<String> {
    let (blob, source) = blob(size);
    assert_eq!(exporter.push(&blob, &source).await.unwrap(), Pushed::Uploaded);
    let requests = shorts(place);
    assert!(
        place.server().stored(|stored| stored.contents()).iter().any(|line| line.contains(&blob.digest.to_string()))
    );
    assert!(place.server().stored(|stored| stored.open_uploads()).is_empty());
    requests
}

fn blob(size: usize) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (vec![7; size], MemoryCache::new());
    let blob = Descriptor::of(MediaType::OCI_LAYER, &bytes);
    let _ = source.insert(bytes);
    (blob, source)
}

#[tokio::test(start_paused = true)]
async fn small_blobs_are_sent_in_one_request_once_one_was_taken_so() {
    let place = posting();
    let exporter = RegistryExporter::new(place.config());
    assert_eq!(push(&place, &exporter, 1).await, ["HEAD blobs 404", "POST blobs/uploads 201", "HEAD blobs 200"]);
    assert_eq!(push(&place, &exporter, 256 << 10).await, IN_ONE);
    assert_eq!(push(&place, &exporter, (256 << 10) + 1).await, IN_TWO);
    assert_eq!(push(&place, &exporter, 0).await, IN_TWO, "without bytes the request would start an upload");
    assert_eq!(push(&place, &exporter, 2).await, IN_ONE);
}

#[tokio::test(start_paused = true)]
async fn a_first_copy_sends_one_request_for_each_small_blob() {
    let place = posting();
    let cache = graphs::wide(100);
    let exporter = RegistryExporter::new(place.config());
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
    let log = shorts(&place);
    let count = |short: &str| log.iter().filter(|logged| logged.starts_with(short)).count();
    // Up to eight blobs are under way before it is known that this works.
    assert_eq!(count("POST"), 101, "a config is a blob too: {log:?}");
    assert!(count("PUT blobs/uploads") < 8, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_wants_a_second_request_gets_the_bytes_that_were_read() {
    let place = Registry::new();
    let exporter = RegistryExporter::new(place.config());
    let (blob, source) = blob(1000);
    let source = Counting::new(&source);
    exporter.push(&blob, &source).await.unwrap();
    assert_eq!(shorts(&place), IN_TWO);
    assert_eq!(source.count(), 1);
    assert_eq!(push(&place, &exporter, 2).await, IN_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_only_claims_to_have_taken_a_blob_is_not_believed() {
    let place = posting();
    let exporter = RegistryExporter::new(place.config());
    place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Answer(201, None, "")));
    // The next request has no digest, so the server starts an upload.
    let expected = ["HEAD blobs 404", "POST blobs/uploads 201", "HEAD blobs 404", "POST blobs/uploads 202"];
    assert_eq!(push(&place, &exporter, 1).await[..4], expected);
    assert_eq!(push(&place, &exporter, 2).await, IN_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_refused_form_is_not_used_again() {
    for status in [400, 405, 413, 415] {
        let place = posting();
        let exporter = RegistryExporter::new(place.config());
        place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Answer(status, None, "")));
        let refused = format!("POST blobs/uploads {status}");
        let expected = ["HEAD blobs 404", &refused, "POST blobs/uploads 202", "PUT blobs/uploads 201"];
        assert_eq!(push(&place, &exporter, 1).await, expected);
        assert_eq!(push(&place, &exporter, 2).await, IN_TWO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_request_without_an_answer_is_not_repeated() {
    let place = posting();
    let exporter = RegistryExporter::new(place.config());
    place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Drop));
    let expected = ["HEAD blobs 404", "POST blobs/uploads 0", "POST blobs/uploads 202", "PUT blobs/uploads 201"];
    assert_eq!(push(&place, &exporter, 1).await, expected);
    assert_eq!(push(&place, &exporter, 2).await, IN_TWO);
}

/// A registry may fail at such a request each time, and a copy would never end.
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_first_request_is_not_tried_twice() {
    let place = posting();
    let exporter = RegistryExporter::new(place.config());
    let (blob, source) = blob(1);
    place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Answer(503, None, "")));
    let error = exporter.push(&blob, &source).await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error:?}");
    let _ = shorts(&place);
    assert_eq!(push(&place, &exporter, 1).await, IN_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_takes_blobs_so_may_be_busy_for_a_while() {
    let place = posting();
    let exporter = RegistryExporter::new(place.config());
    push(&place, &exporter, 1).await;
    place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Answer(429, None, "")));
    let (blob, source) = blob(2);
    assert_eq!(exporter.push(&blob, &source).await.unwrap_err().kind(), ErrorKind::RateLimited);
    let _ = shorts(&place);
    assert_eq!(push(&place, &exporter, 2).await, IN_ONE);
}
