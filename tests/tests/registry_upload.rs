//! Interrupted uploads, and blobs that are too large for one request.

#![cfg(feature = "registry")]

use cache_core::{BlobProvider, CacheExporter, Descriptor, ErrorKind, MediaType, Pushed, Side, read_all};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_registry::{Environment, RegistryConfig, RegistryExporter, RegistryImporter};
use cache_tests::faulty::{self, Faulty};
use cache_tests::graphs::{self, Shape};
use cache_tests::harness::Harness;
use cache_tests::places::Registry;
use cache_tests::servers::docker_registry::{DockerRegistry, Setup};
use cache_tests::servers::front::Front;
use cache_tests::servers::registry::{Fault, KINDS, Options, Plan};
use cache_tests::servers::relay::Relay;

type Method = hyper::Method;

const MIB: usize = 1 << 20;

/// A blob of varying bytes, so that parts in a wrong order are detected.
fn blob(size: usize) -> (Descriptor, MemoryCache) {
    let bytes: Vec<u8> = (0..size).map(|at| u8::try_from((at / 251 + at) % 256).unwrap()).collect();
    let source = MemoryCache::new();
    let desc = Descriptor::of(MediaType::OCI_LAYER, &bytes);
    let _ = source.insert(bytes);
    (desc, source)
}

fn through(relay: &Relay, environment: Environment) -> RegistryConfig {
    RegistryConfig::new(&format!("{}/team/cache:main", relay.host()), environment).unwrap()
}

fn shorts(place: &Registry) -> Vec<String> {
    let log = place.server().take_log();
    let log = log.iter().filter(|logged| logged.status != 401 && !logged.path.starts_with("/token"));
    log.map(|logged| logged.short(&KINDS)).collect()
}

/// Pushes a blob and reads it back, which verifies it.
async fn push(exporter: &RegistryExporter, desc: &Descriptor, source: &dyn BlobProvider, config: RegistryConfig) {
    assert_eq!(exporter.push(desc, source).await.unwrap(), Pushed::Uploaded);
    read_all(&RegistryImporter::new(config), desc, u64::MAX).await.unwrap();
}

/// Checks the number of bytes sent; headers add a few hundred bytes for each request.
fn assert_about(sent: u64, expected: usize) {
    let expected = expected as u64;
    assert!((expected..expected + 16_000).contains(&sent), "{sent} bytes were sent, expected about {expected}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_upload_is_resumed() {
    let place = Registry::new();
    let relay = Relay::start(place.server().host());
    let config = through(&relay, place.environment());
    let (desc, source) = blob(MIB);
    let exporter = RegistryExporter::new(config.clone());
    relay.break_after(600_000);
    relay.break_after(200_000);
    push(&exporter, &desc, &source, config).await;
    assert_about(relay.take_sent(), MIB);
    assert_eq!(shorts(&place).iter().filter(|short| short.starts_with("POST blobs/uploads")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_registry_has_forgotten_starts_again() {
    let place = Registry::with(Options { resumes: false, ..Options::default() });
    let relay = Relay::start(place.server().host());
    let (desc, source) = blob(MIB);
    let exporter = RegistryExporter::new(through(&relay, place.environment()));
    relay.break_after(600_000);
    let error = exporter.push(&desc, &source).await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error:?}");
    push(&exporter, &desc, &source, through(&relay, place.environment())).await;
    assert_about(relay.take_sent(), 600_000 + MIB);
    assert!(place.server().stored(|stored| stored.open_uploads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_after_the_last_byte_sends_no_byte_again() {
    let place = Registry::new();
    let (desc, source) = blob(MIB);
    place.server().plan(Plan::new(Method::PUT, "uploads", Fault::Answer(413, None, "too large")));
    place.server().plan(Plan::new(Method::PUT, "uploads", Fault::Drop));
    push(&RegistryExporter::new(place.config()), &desc, &source, place.config()).await;
    let chunks = ["PATCH blobs/uploads 202"; 4];
    let expected: Vec<&str> = ["HEAD blobs 404", "POST blobs/uploads 202", "PUT blobs/uploads 413"]
        .into_iter()
        .chain(["GET blobs/uploads 204"])
        .chain(chunks)
        .chain(["PUT blobs/uploads 0", "GET blobs/uploads 204", "PUT blobs/uploads 201", "GET blobs 200"])
        .collect();
    assert_eq!(shorts(&place), expected);
}

#[tokio::test(start_paused = true)]
async fn a_blob_too_large_for_one_request_is_sent_in_chunks() {
    let place = Registry::new();
    let (desc, source) = blob(4 * MIB + 1);
    let too_large = Fault::Answer(413, None, "<html>too large</html>");
    place.server().plan(Plan::new(Method::PUT, "uploads", too_large.clone()));
    place.server().plan(Plan::new(Method::PATCH, "uploads", too_large.clone()).times(1));
    push(&RegistryExporter::new(place.config()), &desc, &source, place.config()).await;
    let patches = shorts(&place).iter().filter(|short| *short == "PATCH blobs/uploads 202").count();
    assert_eq!(patches, 17, "16 chunks of a quarter of a quarter, and a byte");

    let (desc, source) = blob(MIB);
    let exporter = RegistryExporter::new(place.config());
    place.server().plan(Plan::new(Method::PUT, "uploads", too_large.clone()).times(100));
    place.server().plan(Plan::new(Method::PATCH, "uploads", too_large).times(100));
    let error = exporter.push(&desc, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("status")), (ErrorKind::LimitExceeded, Some("413")));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_between_chunks_is_replaced() {
    let place = Registry::new();
    let (desc, source) = blob(MIB);
    let denied = Fault::Answer(401, None, r#"{"errors":[{"code":"UNAUTHORIZED","message":"expired"}]}"#);
    place.server().plan(Plan::new(Method::PUT, "uploads", Fault::Answer(413, None, "")));
    place.server().plan(Plan::new(Method::PATCH, "uploads", denied).after(2));
    push(&RegistryExporter::new(place.config()), &desc, &source, place.config()).await;
    assert_eq!(shorts(&place).iter().filter(|short| *short == "PATCH blobs/uploads 202").count(), 4);
}

/// A resumed upload is still compared with the digest of the whole blob.
#[tokio::test(start_paused = true)]
async fn wrong_bytes_of_a_source_are_detected_in_a_resumed_upload() {
    let place = Registry::new();
    let cache = graphs::cache_of(1, Shape { records: 2, depth: 2, results: 1, layer_bytes: 16_000_000 });
    let wrong = &cache.manifest.blobs()[0];
    let corrupt = Faulty::new(&cache.blobs).with(wrong.digest, faulty::Fault::Corrupt(7));
    let source = Faulty::new(&corrupt).with_everywhere(faulty::Fault::Trickle(100_000));
    place.server().plan(Plan::new(Method::PUT, "uploads", Fault::Answer(413, None, "too large")));
    place.server().plan(Plan::new(Method::PATCH, "uploads", Fault::Drop).after(1));
    let exporter = RegistryExporter::new(place.config());
    let error = export(&cache.manifest, &source, &exporter, &ExportSettings::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::DigestMismatch, Some(Side::Source)), "{error:?}");
    let log = shorts(&place);
    assert_eq!(log.iter().filter(|short| *short == "GET blobs/uploads 204").count(), 2, "{log:?}");
    let digest = wrong.digest.to_string();
    assert!(!place.contents().await.iter().any(|line| line.contains(&digest)));
}

/// Docker's registry drops an upload whose request broke, and keeps one with complete chunks.
#[tokio::test]
async fn docker_registry_gets_every_blob_however_uploads_break() {
    if !DockerRegistry::is_installed() {
        println!("skipped: docker-registry is not installed; `cargo xtask setup` does that");
        return;
    }
    let registry = DockerRegistry::start(Setup::Plain);
    let relay = Relay::start(registry.host());
    let config = through(&relay, Environment::new());
    let exporter = RegistryExporter::new(config.clone());
    let (desc, source) = blob(MIB);
    relay.break_after(600_000);
    assert!(exporter.push(&desc, &source).await.unwrap_err().is_retryable());
    push(&exporter, &desc, &source, config).await;
    assert_about(relay.take_sent(), 600_000 + MIB);
}

#[tokio::test]
async fn docker_registry_keeps_complete_chunks() {
    if !DockerRegistry::is_installed() {
        println!("skipped: docker-registry is not installed; `cargo xtask setup` does that");
        return;
    }
    let registry = DockerRegistry::start(Setup::Plain);
    let front = Front::start(registry.host());
    let config = RegistryConfig::new(&format!("{}/team/cache:main", front.host()), Environment::new()).unwrap();
    let (desc, source) = blob(MIB);
    front.plan(Plan::new(Method::PUT, "uploads", Fault::Answer(413, None, "too large")));
    front.plan(Plan::new(Method::PATCH, "uploads", Fault::Drop).after(2));
    push(&RegistryExporter::new(config.clone()), &desc, &source, config).await;
    let log: Vec<String> = front.take_log().iter().map(|logged| logged.short(&KINDS)).collect();
    let expected = [
        "HEAD blobs 404",
        "POST blobs/uploads 202",
        "PUT blobs/uploads 413",
        "GET blobs/uploads 204",
        "PATCH blobs/uploads 202",
        "PATCH blobs/uploads 202",
        "PATCH blobs/uploads 0",
        "GET blobs/uploads 204",
        "PATCH blobs/uploads 202",
        "PATCH blobs/uploads 202",
        "PUT blobs/uploads 201",
        "GET blobs 200",
    ];
    assert_eq!(log, expected, "no chunk is sent twice that has come");
}
