//! Scopes and indices: which caches a job sees, and concurrent writers of one scope.

#![cfg(feature = "gha")]

use std::time::Duration;

use bytes::Bytes;
use cache_core::seams::{Deleted, Publisher};
use cache_core::{CacheBackend, CacheChains, CacheImporter, CacheStore, Error, ErrorKind, Expect};
use cache_gha::{GhaConfig, GhaExporter, GhaImporter, GhaStore};
use cache_ops::{ExportSettings, PublishSettings, export, publish};
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION, token};
use futures_util::future::join_all;
use tokio::time::Instant;

const FEATURE: &str = "refs/heads/feature";
/// The key has the first digits of the scope's SHA-256, as in BuildKit.
const MAIN_INDEX: &str = "index-buildkit-1-f921bd05";

fn main_token() -> String {
    token(&[(MAIN, 3)])
}

/// The token of a job on a branch.
fn feature_token() -> String {
    token(&[(FEATURE, 3), (MAIN, 1)])
}

async fn write(config: GhaConfig, cache: &Generated) -> Result<(), Error> {
    let exporter = GhaExporter::new(config)?;
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(drop)
}

async fn records(config: GhaConfig) -> Option<usize> {
    let resolved = GhaImporter::new(config).unwrap().resolve().await.unwrap()?;
    Some(CacheChains::from_manifest(&resolved.manifest).unwrap().len())
}

fn count(cache: &Generated) -> Option<usize> {
    Some(CacheChains::from_manifest(&cache.manifest).unwrap().len())
}

#[tokio::test(start_paused = true)]
async fn an_import_merges_every_scope_and_a_branch_reuses_the_blobs_of_another() {
    for place in [Gha::v2(), Gha::v1()] {
        let (first, second) = (graphs::cache(1), graphs::cache(2));
        write(place.config_of(&main_token()), &first).await.unwrap();
        assert_eq!(records(place.config_of(&feature_token())).await, count(&first));
        write(place.config_of(&feature_token()), &first).await.unwrap();
        let blobs =
            place.server().entries(|entries| entries.iter().filter(|e| e.key.starts_with("buildkit-blob")).count());
        assert_eq!(blobs, first.manifest.blobs().len());
        write(place.config_of(&feature_token()), &second).await.unwrap();
        let merged = records(place.config_of(&feature_token())).await;
        assert!(merged > count(&first) && merged > count(&second), "{merged:?}");
        assert_eq!(records(place.config_of(&main_token())).await, count(&first));
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_adds_only_to_the_scope_that_is_written() {
    let place = Gha::v2();
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    write(place.config_of(&main_token()), &first).await.unwrap();
    let backend = cache_gha::Gha::new(place.environment());
    let Publisher { importer, exporter } = backend.publisher(&place.spec_of(&feature_token())).await.unwrap();
    publish(&second.chains, &second.blobs, &*importer, &*exporter, &PublishSettings::default()).await.unwrap();
    assert_eq!(records(place.config_of(&token(&[(FEATURE, 1)]))).await, count(&second));
}

#[tokio::test(start_paused = true)]
async fn a_condition_is_about_the_scope_that_is_written_whatever_was_read() {
    let place = Gha::v2();
    let caches: Vec<_> = (1..=3).map(graphs::cache).collect();
    write(place.config_of(&main_token()), &caches[0]).await.unwrap();
    let read = GhaImporter::new(place.config_of(&feature_token())).unwrap().resolve().await.unwrap().unwrap();
    let settings = ExportSettings::default().with_expect(Expect::Version(read.version));
    let exporter = GhaExporter::new(place.config_of(&feature_token())).unwrap();
    export(&caches[1].manifest, &caches[1].blobs, &exporter, &settings).await.unwrap();
    let late = export(&caches[2].manifest, &caches[2].blobs, &exporter, &settings).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_the_next_number_is_free() {
    let place = Gha::v2();
    let begin = Instant::now();
    for seed in 0..12 {
        write(place.config_of(&main_token()), &graphs::cache(seed)).await.unwrap();
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let resolved = GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(resolved.version.as_str(), format!("{MAIN_INDEX}#12"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_reservation_costs_sixteen_seconds_once() {
    for place in [Gha::v2(), Gha::v1()] {
        place.server().entries(|entries| entries.insert_reserved(MAIN, &format!("{MAIN_INDEX}#1"), VERSION));
        let begin = Instant::now();
        write(place.config_of(&main_token()), &graphs::cache(1)).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 16);
        let begin = Instant::now();
        write(place.config_of(&main_token()), &graphs::cache(2)).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::ZERO);
        let resolved = GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
        assert_eq!(resolved.version.as_str(), format!("{MAIN_INDEX}#3"));
    }
}

#[tokio::test]
async fn eight_writers_at_once_lose_nothing_in_real_time() {
    let place = Gha::v2();
    let caches: Vec<_> = (0..8).map(graphs::cache).collect();
    let backend = cache_gha::Gha::new(place.environment());
    join_all(caches.iter().map(|cache| async {
        let Publisher { importer, exporter } = backend.publisher(&place.spec_of(&main_token())).await.unwrap();
        publish(&cache.chains, &cache.blobs, &*importer, &*exporter, &PublishSettings::default()).await.unwrap();
    }))
    .await;
    let found = GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    let found = CacheChains::from_manifest(&found.manifest).unwrap();
    let keys: Vec<_> = found.records().map(|record| found.key(record).clone()).collect();
    for cache in &caches {
        assert!(cache.chains.records().all(|record| keys.contains(cache.chains.key(record))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_index_is_never_mixed_up_or_changed() {
    let place = Gha::v2();
    let signed = format!("{MAIN_INDEX}-sig#4");
    let insert = || place.server().entries(|entries| entries.insert(MAIN, &signed, VERSION, Bytes::from_static(b"{}")));
    insert();
    let error = GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("key")), (ErrorKind::Unsupported, Some(signed.as_str())), "{error:?}");
    let cache = graphs::cache(1);
    write(place.config_of(&main_token()), &cache).await.unwrap();
    place.server().entries(|entries| entries.remove(|entry| entry.key == signed));
    let id = insert();
    assert_eq!(records(place.config_of(&main_token())).await, count(&cache));
    write(place.config_of(&main_token()), &graphs::cache(2)).await.unwrap();
    let kept = place.server().entries(|entries| entries.iter().find(|e| e.key == signed).map(|entry| entry.id));
    assert_eq!(kept, Some(id));
    let names: Vec<_> =
        GhaStore::new(place.config()).unwrap().caches().await.unwrap().into_iter().filter_map(|e| e.name).collect();
    assert_eq!(names, [format!("buildkit@{MAIN}"), format!("buildkit@{MAIN} (signed)")]);
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_not_taken_for_a_blob() {
    let place = Gha::v2();
    let cache = graphs::cache(1);
    let blob = &cache.manifest.blobs()[0];
    let key = format!("buildkit-blob-1-{}-sig", blob.digest);
    place.server().entries(|entries| entries.insert(MAIN, &key, VERSION, Bytes::from_static(b"{}")));
    let importer = (&place as &dyn Harness).importer().await;
    assert_eq!(importer.stat(blob).await.unwrap(), None);
    assert_eq!(importer.read(blob, None).await.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_cache_does_not_come_back_as_an_older_one() {
    let place = Gha::v2();
    for seed in 0..3 {
        write(place.config(), &graphs::cache(seed)).await.unwrap();
    }
    write(place.config_of(&feature_token()), &graphs::cache(4)).await.unwrap();
    let store = GhaStore::new(place.config()).unwrap();
    let caches = store.caches().await.unwrap();
    let entry = caches.iter().find(|entry| entry.name.as_deref() == Some("buildkit@refs/heads/main")).unwrap();
    assert!(entry.size.is_some_and(|size| size > 100) && entry.used.is_some() && entry.modified.is_some());
    assert_eq!(store.delete_cache(entry).await.unwrap(), Deleted::Removed);
    assert_eq!(records(place.config_of(&main_token())).await, None);
    assert_eq!(records(place.config_of(&feature_token())).await, count(&graphs::cache(4)));
}

#[tokio::test(start_paused = true)]
async fn a_listed_cache_that_the_token_cannot_read_is_an_error_and_not_empty() {
    let place = Gha::v2();
    write(place.config_of(&feature_token()), &graphs::cache(1)).await.unwrap();
    let store = GhaStore::new(place.config()).unwrap();
    let listed = store.caches().await.unwrap();
    let error = store.open(&listed[0]).await.unwrap().resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}
