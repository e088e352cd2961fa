//! The probe of Azure Blob Storage: what it finds, and that it leaves nothing behind.

#![cfg(feature = "azblob")]

use cache_azblob::AzblobProbe;
use cache_core::seams::{CacheProbe, Outcome, Publishing};
use cache_core::{CacheSpec, ErrorKind};
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Fault, Plan};

type Method = hyper::Method;

const CHECKS: [&str; 9] =
    ["container", "read", "write", "conditional-write", "block-upload", "range-read", "refresh", "list", "delete"];

#[tokio::test(start_paused = true)]
async fn a_sound_account_can_do_everything_and_keeps_nothing() {
    let place = Azblob::new();
    let probe = place.backend().probe(&place.spec()).await.unwrap().unwrap();
    let found = probe.diagnose().await.unwrap();
    assert_eq!(found.checks.iter().map(|check| check.name).collect::<Vec<_>>(), CHECKS);
    assert!(found.checks.iter().all(cache_core::seams::Check::works), "{found:?}");
    assert_eq!((found.leftovers.len(), found.notes.len()), (0, 1), "{found:?}");
    assert_eq!(found.publishing, Some(Publishing::Conditional));
    assert_eq!(place.contents().await, ["buildkit-cache"]);
    let recommended = found.recommended.unwrap();
    assert_eq!((recommended.get("name"), recommended.get("secret_access_key")), (Some("main"), None));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_reported_with_advice() {
    let place = Azblob::new();
    place.server().plan(Plan::new(Method::PUT, "/blobs%2Fbuildcache-doctor", Fault::Answer(403, None, "")));
    let found = AzblobProbe::new(place.config()).unwrap().diagnose().await.unwrap();
    let write = found.checks.iter().find(|check| check.name == "write").unwrap();
    assert!(matches!(&write.outcome, Outcome::Refused(error) if error.kind() == ErrorKind::PermissionDenied));
    assert!(write.advice.unwrap().contains("Contributor") && found.is_denied() && found.recommended.is_none());
    assert_eq!(place.contents().await, ["buildkit-cache"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_named() {
    let place = Azblob::new();
    place.server().plan(Plan::new(Method::DELETE, "/blobs%2F", Fault::Answer(403, None, "")).times(2));
    let found = AzblobProbe::new(place.config()).unwrap().diagnose().await.unwrap();
    assert!(!found.works("delete") && found.leftovers.len() == 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_an_error() {
    let spec = CacheSpec::new("azblob").with("account_url", "http://127.0.0.1:1/acc?sig=x");
    let probe = AzblobProbe::new(Azblob::new().config_of(&spec)).unwrap();
    assert_eq!(probe.diagnose().await.unwrap_err().kind(), ErrorKind::Unavailable);
}
