//! A second S3 store: moto, which `cargo xtask setup` installs.

#![cfg(all(feature = "local", feature = "s3"))]

use cache_core::seams::{CacheProbe, Deleted};
use cache_core::{
    CacheChains, CacheExporter, CacheImporter, CacheStore, Descriptor, ErrorKind, Expect, MediaType, Pushed,
};
use cache_kit::PartLimits;
use cache_local::{LocalConfig, LocalExporter, LocalImporter};
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, Depth, ExportSettings, PublishSettings, copy, export, publish, verify};
use cache_s3::{Credential, Environment, S3Config, S3Exporter, S3Importer, S3Probe, S3Store};
use cache_tests::fixtures;
use cache_tests::graphs;
use cache_tests::random::Random;
use cache_tests::servers::moto::Moto;
use futures_util::future::join_all;
use futures_util::stream::TryStreamExt;

const BUCKET: &str = "team";

/// A store with a bucket; `None`, with a message, if it is not installed.
fn start() -> Option<Moto> {
    let moto = Moto::start();
    match &moto {
        Some(moto) => moto.make_bucket(BUCKET),
        None => println!("skipped: moto is not installed; `cargo xtask setup` does that"),
    }
    moto
}

fn config(moto: &Moto, name: &str) -> S3Config {
    let environment = Environment::new().with_credential(Credential::new("testing", "testing"));
    let environment =
        environment.tune(|tuning| tuning.with_parts(PartLimits::new(5 << 20, 4))).with_copies(10 << 20, 5 << 20);
    S3Config::new(BUCKET, "us-east-1", environment).with_endpoint(moto.endpoint(), true).with_name(name)
}

/// Copies every fixture to the store and back: records and blobs are the same.
#[tokio::test]
async fn every_fixture_round_trips() {
    let Some(moto) = start() else { return };
    let settings = ExportSettings::default();
    for (at, fixture) in fixtures::all().into_iter().enumerate() {
        let source = LocalImporter::new(LocalConfig::new(&fixture.path));
        let config = config(&moto, &format!("n{at}"));
        let exporter = S3Exporter::new(config.clone());
        let copied = copy(&source, &exporter, CopyOptions::default(), &settings).await;
        let Some(copied) = copied.unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name)) else { continue };
        let importer = S3Importer::new(config);
        let resolved = importer.resolve().await.unwrap().unwrap();
        assert_eq!(resolved.manifest.config().records, copied.manifest.config().records, "{}", fixture.name);
        let report = verify(&resolved.manifest, &importer, Depth::Deep, 4).await.unwrap();
        assert!(report.is_sound(), "{}: {:?}", fixture.name, report.findings);
        let back = tempfile::tempdir().unwrap();
        let local = LocalExporter::new(LocalConfig::new(back.path()));
        copy(&importer, &local, CopyOptions::default(), &settings).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn conditions_hold_and_publishers_lose_nothing() {
    let Some(moto) = start() else { return };
    let (config, caches) = (config(&moto, "main"), [graphs::cache(1), graphs::cache(2)]);
    let settings = ExportSettings::default().with_expect(Expect::Absent);
    let exporter = S3Exporter::new(config.clone());
    export(&caches[0].manifest, &caches[0].blobs, &exporter, &settings).await.unwrap();
    let exporter = S3Exporter::new(config.clone());
    let lost = export(&caches[1].manifest, &caches[1].blobs, &exporter, &settings).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict, "{lost:?}");
    for published in join_all(caches.iter().map(|cache| async {
        let (importer, exporter) = (S3Importer::new(config.clone()), S3Exporter::new(config.clone()));
        publish(&cache.chains, &cache.blobs, &importer, &exporter, &PublishSettings::default()).await
    }))
    .await
    {
        published.unwrap();
    }
    let found = S3Importer::new(config).resolve().await.unwrap().unwrap().manifest;
    let found = CacheChains::from_manifest(&found).unwrap();
    for cache in &caches {
        let mut keys = cache.chains.records().map(|record| cache.chains.key(record));
        assert!(keys.all(|key| found.records().any(|record| found.key(record) == key)));
    }
}

/// A large blob is sent in parts, copied in parts onto itself, listed, and deleted in a batch.
#[tokio::test]
async fn a_large_blob_is_sent_refreshed_listed_and_deleted() {
    let Some(moto) = start() else { return };
    let (bytes, source) = (Random::new(1).bytes((11 << 20) - 1), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    let blob = Descriptor::of(MediaType::OCI_LAYER, &bytes);
    let config = config(&moto, "main");
    assert_eq!(S3Exporter::new(config.clone()).push(&blob, &source).await.unwrap(), Pushed::Uploaded);
    let fresh = config.clone().with_touch_refresh(std::time::Duration::ZERO);
    assert_eq!(S3Exporter::new(fresh).push(&blob, &source).await.unwrap(), Pushed::Refreshed);
    let read = cache_core::read_all(&S3Importer::new(config.clone()), &blob, u64::MAX).await.unwrap();
    assert!(read == bytes);
    let store = S3Store::new(config);
    let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|entry| (entry.digest, entry.size)).collect::<Vec<_>>(), [(blob.digest, blob.size)]);
    let deleted = store.delete_blobs(&[listed[0].clone(), listed[0].clone()]).await;
    assert!(deleted.iter().all(|deleted| matches!(deleted, Ok(Deleted::Removed))), "{deleted:?}");
    assert_eq!(store.delete_blob(&listed[0]).await.unwrap(), Deleted::Absent);
    assert_eq!(store.abort_uploads(cache_core::Timestamp::now()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_probe_finds_what_works_and_leaves_nothing() {
    let Some(moto) = start() else { return };
    let found = S3Probe::new(config(&moto, "main")).diagnose().await.unwrap();
    let checks = ["read", "write", "range-read", "conditional-write", "multipart", "refresh", "list", "batch-delete"];
    for check in checks.into_iter().chain(["delete"]) {
        assert!(found.works(check), "{check}: {found:?}");
    }
    assert!(found.leftovers.is_empty(), "{found:?}");
    let spec = found.recommended.unwrap().to_string();
    assert!(spec.contains("use_path_style=true") && !spec.contains("testing"), "{spec}");
}
