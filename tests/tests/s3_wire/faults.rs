//! Faults of the server and the connection.

use std::collections::BTreeSet;
use std::fs;

use cache_core::{CacheExporter, CacheImporter, ErrorKind, Pushed};
use cache_kit::{ReadAhead, RetryPolicy, Timeouts};
use cache_s3::{Credential, Environment, S3Config, S3Exporter, S3Importer};
use cache_tests::graphs;
use cache_tests::random::Random;
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, Fault, Logged, Options, Plan, SECRET_KEY, Server};

use crate::{LARGE, Method, blob, bytes_of, config, config_of, environment, key, write};

#[tokio::test(start_paused = true)]
async fn temporary_failures_are_retried() {
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
            // An upload whose id was lost stays open; the next run aborts it.
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
async fn a_broken_stream_is_resumed() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    S3Exporter::new(config(&server)).push(&large, &source).await.unwrap();
    let _ = server.take_log();
    server.plan(Plan::new(Method::GET, "blobs", Fault::DropAfter(7 << 20)));
    let whole = environment().tune(|tuning| tuning.with_read_ahead(ReadAhead::new(1 << 30, 0)));
    assert_eq!(bytes_of(&S3Importer::new(config_of(&server, whole)), &large).await.unwrap().len(), LARGE);
    let log = server.take_log();
    let ranges: Vec<_> = log.iter().map(|logged| logged.range.as_deref()).collect();
    assert!(matches!(ranges[..], [None, Some(range)] if range.ends_with(&format!("-{}", LARGE - 1))), "{ranges:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_is_read_in_parts_that_are_resumed() {
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

/// An object that begins like the blob and is longer is refused, also if it is read in parts.
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
async fn a_store_that_always_fails_is_an_error_and_leaves_no_open_upload() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    server.plan(Plan::new(Method::PUT, "partNumber=2", Fault::Answer(500, None, "")).times(100));
    let error = S3Exporter::new(config(&server)).push(&large, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("tries")), (ErrorKind::Unavailable, Some("6")), "{error:?}");
    assert!(!error.is_retryable() && server.uploads().keys().is_empty());
}

/// A refusal is one line, with the server's message and a hint; after a refused HEAD, a GET fetches the message.
#[tokio::test(start_paused = true)]
async fn refusals_have_the_stores_message() {
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
        let environment =
            environment.tune(|tuning| tuning.with_timeouts(Timeouts::none()).with_retry(RetryPolicy::never()));
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
async fn an_answer_of_another_server_is_no_empty_cache() {
    let server = Server::start(Options::default());
    server.plan(Plan::new(Method::GET, "manifests", Fault::Answer(404, None, "<html>not here</html>")));
    let error = S3Importer::new(config(&server)).resolve().await.unwrap_err();
    assert_eq!(error.context("server"), Some("<html>not here</html>"));
}
