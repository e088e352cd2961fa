//! Probes of registries with limited features: what they find and what they leave.

#![cfg(feature = "registry")]

use cache_core::ErrorKind;
use cache_core::seams::{CacheProbe, Check, Diagnosis, Outcome};
use cache_kit::Timeouts;
use cache_registry::{Credential, Environment, RegistryProbe};
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Fault, Options, Plan};

type Method = hyper::Method;

const INVALID: Fault = Fault::Answer(400, None, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"what is this"}]}"#);

async fn diagnose(place: &Registry) -> Diagnosis {
    RegistryProbe::new(place.config()).diagnose().await.unwrap()
}

fn check<'a>(found: &'a Diagnosis, name: &str) -> &'a Check {
    found.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name} was not tried: {found:?}"))
}

fn refusal<'a>(found: &'a Diagnosis, name: &str) -> (ErrorKind, Option<&'a str>) {
    match &check(found, name).outcome {
        Outcome::Refused(error) => (error.kind(), error.context("server")),
        other => panic!("{name}: {other:?}"),
    }
}

fn attributes(place: &Registry, found: &Diagnosis) -> Option<String> {
    let spec = found.recommended.as_ref()?.to_string();
    let reference = format!("ref={}/team/cache:main", place.server().host());
    Some(spec.replace("type=registry,", "").replace(&reference, "").trim_end_matches(',').to_owned())
}

/// The tags and manifests in the registry, of which a probe leaves none.
fn left(place: &Registry) -> Vec<String> {
    let contents = place.server().stored(|stored| stored.contents());
    contents.into_iter().filter(|line| line.contains(" tag ") || line.contains(" manifest ")).collect()
}

/// A registry that supports everything.
fn complete() -> Registry {
    Registry::with(Options { takes_posts: true, ..Options::default() })
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_where_everything_works() {
    let place = complete();
    let found = diagnose(&place).await;
    let blobs = ["read", "blob-push", "single-post", "chunked-upload", "range-read", "mount"];
    let manifests = ["image-manifest", "index", "docker-list", "tag-list", "referrers", "delete"];
    for name in blobs.into_iter().chain(manifests) {
        assert!(found.works(name), "{name}: {found:?}");
    }
    assert_eq!(attributes(&place, &found).as_deref(), Some(""));
    assert_eq!(
        (found.leftovers.len(), place.server().stored(|stored| stored.contents())),
        (0, vec!["team/cache".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_wants_two_requests_for_a_blob_keeps_no_open_upload() {
    let place = Registry::new();
    let found = diagnose(&place).await;
    assert_eq!(refusal(&found, "single-post").0, ErrorKind::Unsupported);
    assert!(found.recommended.is_some() && found.leftovers.is_empty(), "{found:?}");
    let deletes = place.server().take_log().into_iter().filter(|logged| logged.path.contains("/uploads/"));
    assert_eq!(deletes.filter(|logged| logged.method == Method::DELETE).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_tag_of_the_spec_is_never_asked_for() {
    let place = Registry::new();
    diagnose(&place).await;
    assert!(place.server().take_log().iter().all(|logged| !logged.path.ends_with("/manifests/main")));
}

#[tokio::test(start_paused = true)]
async fn the_attributes_are_for_the_best_form_that_works() {
    let cases = [
        (1, 0, "image-manifest=false"),
        (2, 0, "image-manifest=false,oci-mediatypes=false"),
        (1, 1, "image-manifest=true"),
    ];
    for (times, after, attributes_wanted) in cases {
        let place = Registry::new();
        place.server().plan(Plan::new(Method::PUT, "/manifests/", INVALID).after(after).times(times));
        let found = diagnose(&place).await;
        assert_eq!(attributes(&place, &found).as_deref(), Some(attributes_wanted), "{found:?}");
        let refused = if after == 0 { "image-manifest" } else { "index" };
        assert_eq!(refusal(&found, refused), (ErrorKind::Unsupported, Some("MANIFEST_INVALID: what is this")));
        assert!(check(&found, refused).advice.is_some() && left(&place).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn no_form_is_no_recommendation() {
    let place = Registry::new();
    place.server().plan(Plan::new(Method::PUT, "/manifests/", INVALID).times(3));
    let found = diagnose(&place).await;
    assert!(found.recommended.is_none() && !found.is_denied());
    assert!(matches!(check(&found, "delete").outcome, Outcome::Unknown(_)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_named() {
    let place = Registry::with(Options { deletes: false, ..Options::default() });
    let found = diagnose(&place).await;
    assert_eq!(refusal(&found, "delete"), (ErrorKind::Unsupported, Some("UNSUPPORTED: the operation is unsupported")));
    assert!(found.recommended.is_some());
    assert_eq!(found.leftovers.len(), 1, "{:?}", found.leftovers);
    let tags =
        place.server().stored(|stored| stored.repositories["team/cache"].tags.keys().cloned().collect::<Vec<_>>());
    assert_eq!(tags.len(), 1, "one tag for all forms");
    assert!(found.leftovers[0].contains(&tags[0]) && tags[0].starts_with("buildcache-doctor-"));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_ignores_ranges_is_detected() {
    let found = diagnose(&Registry::with(Options { ranges: false, ..Options::default() })).await;
    assert_eq!(refusal(&found, "range-read").0, ErrorKind::Unsupported);
    assert!(found.recommended.is_some());
}

#[tokio::test(start_paused = true)]
async fn chunks_that_are_refused_leave_no_upload() {
    let place = Registry::new();
    place.server().plan(Plan::new(Method::PATCH, "/uploads/", Fault::Answer(416, None, "")).after(1));
    let found = diagnose(&place).await;
    assert!(!found.works("chunked-upload") && found.recommended.is_some(), "{found:?}");
    assert!(place.server().stored(|stored| stored.open_uploads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_missing_push_permission_is_reported() {
    let place = Registry::new();
    let denied = Fault::Answer(403, None, r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#);
    place.server().plan(Plan::new(Method::POST, "/uploads/", denied));
    let found = diagnose(&place).await;
    assert!(found.is_denied() && found.works("read") && found.recommended.is_none());
    assert_eq!(refusal(&found, "blob-push"), (ErrorKind::PermissionDenied, Some("DENIED: not yours")));
    assert!(left(&place).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_a_finding_without_the_password() {
    let place = Registry::new();
    let wrong = Environment::new()
        .with_credential(Credential::password("tester", "hush-hush"))
        .tune(|tuning| tuning.with_timeouts(Timeouts::none()));
    let found = RegistryProbe::new(place.config_of("team/cache:main", wrong)).diagnose().await.unwrap();
    assert!(found.is_denied() && found.recommended.is_none());
    assert_eq!(refusal(&found, "read").0, ErrorKind::Unauthenticated);
    assert!(!format!("{found:?}").contains("hush-hush"));
}

#[tokio::test(start_paused = true)]
async fn temporary_failures_are_retried() {
    let place = complete();
    place.server().plan(Plan::new(Method::PUT, "/manifests/", Fault::Answer(429, Some(1), "")));
    place.server().plan(Plan::new(Method::POST, "/uploads/", Fault::Answer(503, None, "")));
    let found = diagnose(&place).await;
    assert!(found.checks.iter().all(Check::works), "{found:?}");
}
