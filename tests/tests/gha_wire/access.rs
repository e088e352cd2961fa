//! Tokens and their permissions.

use cache_core::seams::CacheProbe;
use cache_core::{CacheExporter, ErrorKind, Expect, Pushed};
use cache_gha::{GhaExporter, GhaProbe};
use cache_kit::Secret;
use cache_ops::export;
use cache_tests::graphs;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, token};
use cache_tests::servers::actions::{Fault, Plan};

use crate::{Method, blob, main_token, told, write};

#[tokio::test(start_paused = true)]
async fn a_refused_list_is_reported_and_blobs_are_looked_up() {
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
async fn the_message_of_a_refusal_is_passed_on() {
    let cases = [
        (
            r#"{"ok":false,"message":"cache write denied: fork"}"#,
            ErrorKind::PermissionDenied,
            "cache write denied: fork",
        ),
        (r#"{"ok":false,"message":"storage quota exceeded"}"#, ErrorKind::LimitExceeded, "storage quota exceeded"),
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
async fn a_probe_leaves_nothing_and_reports_a_read_only_token() {
    let place = Gha::v2();
    let found = GhaProbe::new(place.config()).diagnose().await.unwrap();
    assert!(found.checks.iter().all(cache_core::seams::Check::works), "{found:?}");
    assert_eq!(found.recommended.unwrap().to_string(), "type=gha,mode=max,scope=buildkit,version=2");
    assert_eq!(place.server().entries(|entries| entries.iter().count()), 0);
    let found = GhaProbe::new(place.config_of(&token(&[(MAIN, 1)]))).diagnose().await.unwrap();
    assert!(found.is_denied() && found.recommended.is_none() && found.leftovers.is_empty(), "{found:?}");
}
