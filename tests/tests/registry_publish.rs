//! Publishing to a registry: the requests, and refusals.

#![cfg(feature = "registry")]

use std::time::Duration;

use cache_core::manifest::Document;
use cache_core::seams::{ImageStore, Publisher};
use cache_core::{CacheExporter, Descriptor, Error, ErrorKind, Expect, MediaType};
use cache_ops::{PublishSettings, PublishWay, Published, publish};
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Fault, KINDS, Options, Plan};

type Method = hyper::Method;

const IMMUTABLE: &str = r#"{"errors":[{"code":"PRECONDITION","message":"main is configured as immutable"}]}"#;
/// The error of ECR.
const IMMUTABLE_TAG: &str =
    r#"{"errors":[{"code":"TAG_INVALID","message":"the tag 'main' exists already, and the tag is immutable."}]}"#;
const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"no catalog for you"}]}"#;

async fn add(place: &Registry, cache: &Generated) -> Result<Published, Error> {
    let Publisher { importer, exporter } = place.backend().publisher(&place.spec()).await.unwrap();
    publish(&cache.chains, &cache.blobs, &*importer, &*exporter, &PublishSettings::default()).await
}

/// The requests in short form, without those for blobs and logins.
fn shorts(place: &Registry) -> Vec<String> {
    let log = place.server().take_log();
    let asked = log.iter().filter(|logged| logged.status != 401 && !logged.path.starts_with("/token"));
    asked.map(|logged| logged.short(&KINDS)).filter(|short| !short.contains("blobs")).collect()
}

fn tags(place: &Registry) -> Vec<String> {
    place.server().stored(|stored| stored.repositories.values().flat_map(|found| found.tags.keys().cloned()).collect())
}

#[tokio::test(start_paused = true)]
async fn a_single_publisher_needs_few_requests() {
    let place = Registry::new();
    add(&place, &graphs::cache(1)).await.unwrap();
    let first = ["GET tags 200", "PUT manifests 201", "GET tags 200", "GET manifests 200", "GET manifests 404"];
    let log = shorts(&place);
    // A list of tags ends with a page without new tags, and a manifest is checked after it was written.
    assert_eq!(log.len(), 10, "{log:?}");
    assert!(first.iter().all(|request| log.contains(&(*request).to_owned())), "{log:?}");
    let published = add(&place, &graphs::cache(2)).await.unwrap();
    assert!(matches!(published.way, PublishWay::Contributions), "{published:?}");
    // The contribution of the other writer is read once.
    let log = shorts(&place);
    assert_eq!(log.iter().filter(|request| *request == "GET manifests 200").count(), 3, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_holds_an_image_is_an_error_at_once() {
    let place = Registry::new();
    let image = cache_registry::RegistryImage::new(place.config());
    let config = Document::new(MediaType::OCI_CONFIG, r#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
    image.put(&config).await.unwrap();
    let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer");
    let root = serde_json::json!({ "schemaVersion": 2, "config": config.descriptor, "layers": [layer] });
    let root = Document::new(MediaType::OCI_MANIFEST, root.to_string());
    place.server().stored(|stored| {
        let (digest, found) = (root.descriptor.digest, stored.repositories.get_mut("team/cache").unwrap());
        found.manifests.insert(digest, (MediaType::OCI_MANIFEST.as_str().to_owned(), root.bytes.clone()));
        found.tags.insert("main".to_owned(), digest);
    });
    let _ = shorts(&place);
    let importer = place.backend().publisher(&place.spec()).await.unwrap().importer;
    let error = importer.resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert_eq!(
        place
            .server()
            .take_log()
            .iter()
            .filter(|logged| logged.status == 200 && !logged.path.starts_with("/token"))
            .count(),
        1
    );
    assert_eq!(add(&place, &graphs::cache(1)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(tags(&place), ["main"], "nothing is left behind");
}

/// This is not a conflict: the registry does not allow any write.
#[tokio::test(start_paused = true)]
async fn an_immutable_tag_is_a_refusal_with_the_registrys_message() {
    let place = Registry::new();
    add(&place, &graphs::cache(1)).await.unwrap();
    for (status, said) in [(412, IMMUTABLE), (409, IMMUTABLE), (400, IMMUTABLE_TAG)] {
        let refuse = Plan::new(Method::PUT, "manifests/main", Fault::Answer(status, None, said)).after(1);
        // The first PUT whose path contains the tag is that of the contribution.
        place.server().plan(refuse);
        let _ = shorts(&place);
        let error = add(&place, &graphs::cache(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        assert!(error.context("server").unwrap().contains("immutable"), "{error}");
        let log = shorts(&place);
        assert_eq!(log.iter().filter(|request| request.starts_with("PUT manifests 4")).count(), 1, "{log:?}");
        assert_eq!(tags(&place).len(), 2, "its contribution is withdrawn");
        let exporter = cache_registry::RegistryExporter::new(place.config());
        place.server().plan(Plan::new(Method::PUT, "manifests/main", Fault::Answer(status, None, said)));
        let cache = graphs::cache(1);
        let error = exporter.commit(&cache.manifest, Expect::Any).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn if_tags_cannot_be_listed_a_publisher_waits_and_checks_again() {
    let place = Registry::new();
    place.server().plan(Plan::new(Method::GET, "tags/list", Fault::Answer(403, None, DENIED)));
    let published = add(&place, &graphs::cache(1)).await.unwrap();
    let PublishWay::Timed { wait, list: Some(why) } = published.way else { panic!("{published:?}") };
    assert_eq!(wait, Duration::from_secs(5));
    assert!(why.to_string().contains("no catalog for you"), "{why}");
    assert_eq!(tags(&place), ["main"]);
}

#[tokio::test(start_paused = true)]
async fn contributions_that_cannot_be_deleted_are_reported() {
    let place = Registry::with(Options { deletes: false, ..Options::default() });
    let exporter = cache_registry::RegistryExporter::new(place.config());
    let contributions = exporter.contributions().await.unwrap().unwrap();
    let old = cache_core::seams::ContributionName::parse("main.publish-1500000000-0123456789ab").unwrap();
    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    contributions.write(&old, &cache.manifest).await.unwrap();
    let published = add(&place, &graphs::cache(2)).await.unwrap();
    let left = published.leftovers.unwrap();
    assert_eq!((left.names, left.error.kind()), (vec![old], ErrorKind::Unsupported), "{:?}", left.error);
}
