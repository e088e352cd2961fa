//! Faults of the server and the connection.

use std::time::Duration;

use bytes::Bytes;
use cache_azblob::AzblobConfig;
use cache_core::{CacheExporter, CacheImporter, CacheSpec, ErrorKind};
use cache_kit::{PartLimits, Timeouts};
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, ExportSettings, copy};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Fault, Plan};

use crate::{Method, blob, bytes_of, exporter, importer, write};

#[tokio::test(start_paused = true)]
async fn a_copy_outlasts_faults_that_pass() {
    let faults = [
        Fault::Answer(429, Some(7), "slow down"),
        Fault::Answer(503, None, "busy"),
        Fault::Answer(500, None, ""),
        Fault::Drop,
    ];
    let calls = [
        (Method::GET, "restype=container"),
        (Method::PUT, "restype=container"),
        (Method::HEAD, "/blobs%2F"),
        (Method::PUT, "/blobs%2F"),
        (Method::PUT, "comp=block&"),
        (Method::PUT, "comp=blocklist"),
        (Method::PUT, "/manifests%2F"),
        (Method::GET, "/manifests%2F"),
        (Method::GET, "/blobs%2F"),
    ];
    for fault in faults {
        for (method, path) in calls.clone() {
            let place = Azblob::new();
            place.server().plan(Plan::new(method.clone(), path, fault.clone()).times(3));
            let environment = Azblob::environment().tune(|tuning| tuning.with_parts(PartLimits::new(1_000, 4)));
            let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
            let cache = graphs::cache(1);
            write(config.clone(), &cache)
                .await
                .unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}"));
            let target = MemoryCache::new();
            let copied = copy(&importer(config), &target, CopyOptions::default(), &ExportSettings::default()).await;
            copied.unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}")).unwrap();
        }
    }
}

/// `Retry-After` is respected: paused time advances only in waits.
#[tokio::test(start_paused = true)]
async fn retry_after_is_respected() {
    let place = Azblob::new();
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Answer(429, Some(30), "")).times(2));
    let start = tokio::time::Instant::now();
    importer(place.config()).resolve().await.unwrap();
    assert!((60..70).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_resumed() {
    for fault in [Fault::DropAfter(60_000), Fault::Truncate(60_000)] {
        let place = Azblob::new();
        let (desc, source) = blob(vec![7; 100_000]);
        exporter(place.config()).push(&desc, &source).await.unwrap();
        place.server().plan(Plan::new(Method::GET, "/blobs%2F", fault.clone()));
        assert!(bytes_of(&importer(place.config()), &desc).await.unwrap() == vec![7; 100_000], "{fault:?}");
        let again = place.server().take_log().pop().unwrap();
        assert_eq!(again.range.as_deref(), Some("bytes=60000-99999"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_breaks_ends_with_an_error() {
    let place = Azblob::new();
    let (desc, source) = blob(vec![7; 10_000]);
    exporter(place.config()).push(&desc, &source).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/blobs%2F", Fault::DropAfter(0)).times(1_000));
    let error = bytes_of(&importer(place.config()), &desc).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
}

/// A document that ends early, invalid JSON, and an HTML page have different errors.
#[tokio::test(start_paused = true)]
async fn bad_indexes_have_different_errors() {
    let place = Azblob::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Truncate(50)));
    assert!(importer(place.config()).resolve().await.unwrap().is_some());
    place
        .server()
        .stored(|stored| stored.put("buildkit-cache", "manifests/main", Bytes::from_static(b"{\"layers\":[{}]}")));
    let error = importer(place.config()).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("key")), (ErrorKind::InvalidManifest, Some("manifests/main")), "{error:?}");
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Answer(404, None, "<html>nothing here</html>")));
    let error = importer(place.config()).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("status")), (ErrorKind::NotFound, Some("404")), "{error:?}");
    let limits = {
        let mut limits = cache_core::model::Limits::default();
        limits.config = 5;
        limits
    };
    let error = importer(place.config().with_limits(limits)).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}

/// In real time, since the server is in another thread.
#[tokio::test]
async fn a_stalled_server_is_an_error() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let spec =
        CacheSpec::new("azblob").with("account_url", format!("http://{}/a?sig=x", listener.local_addr().unwrap()));
    let wait = Timeouts::all(Duration::from_millis(50));
    let environment =
        Azblob::environment().tune(|tuning| tuning.with_timeouts(wait).with_retry(cache_kit::RetryPolicy::never()));
    let error = importer(AzblobConfig::from_spec(&spec, environment).unwrap()).resolve().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("cause")),
        (ErrorKind::Unavailable, Some("nothing has moved for 0.05 s")),
        "{error:?}"
    );
}
