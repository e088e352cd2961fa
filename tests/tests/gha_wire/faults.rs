//! Faults of the server and the connection.

use std::time::Duration;

use cache_core::{BlobProvider, CacheExporter, ErrorKind, Expect, Pushed};
use cache_gha::{GhaExporter, GhaImporter};
use cache_kit::PartLimits;
use cache_tests::faulty::{Fault as Flaw, Faulty};
use cache_tests::graphs;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION};
use cache_tests::random::Random;
use cache_tests::servers::actions::{Fault, Plan};
use tokio::time::Instant;

use crate::{Method, assert_holds, blob, main_token, write};

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
    assert!(error.hint().unwrap().contains("run the export again"));
    assert_holds(place.config_of(&main_token()), &old).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_does_no_harm() {
    for (place, path) in [(Gha::v2(), "FinalizeCacheEntryUpload"), (Gha::v1(), "artifactcache/caches/")] {
        place.server().plan(Plan::new(Method::POST, path, Fault::DropAfter(0)));
        let cache = graphs::cache(1);
        write(place.config_of(&main_token()), &cache).await.unwrap();
        assert_holds(place.config_of(&main_token()), &cache).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_whose_source_fails_continues_with_its_own_reservation() {
    let place = Gha::v2();
    let (desc, source) = blob(Random::new(5).bytes(3 << 20));
    let environment = place.environment().tune(|tuning| tuning.with_parts(PartLimits::new(1 << 20, 3)));
    let exporter = GhaExporter::new(place.config_in(&main_token(), environment)).unwrap();
    let flawed = Faulty::new(&source).with(desc.digest, Flaw::Fail(ErrorKind::Unavailable, 2 << 20));
    assert!(exporter.push(&desc, &flawed).await.unwrap_err().is_retryable());
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_was_reserved_and_never_finished_is_locked() {
    for place in [Gha::v2(), Gha::v1()] {
        let (desc, source) = blob("layer");
        let key = format!("buildkit-blob-1-{}", desc.digest);
        place.server().entries(|entries| entries.insert_reserved(MAIN, &key, VERSION));
        let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
        let begin = Instant::now();
        let error = exporter.push(&desc, &source).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(!error.is_retryable() && error.hint().unwrap().contains("left out"), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(GhaImporter::new(place.config_of(&main_token())).unwrap().stat(&desc).await.unwrap(), None);
    }
}
