//! Commits with and without conditions, and concurrent writers.

use cache_core::seams::Deleted;
use cache_core::{CacheChains, CacheExporter, CacheImporter, CacheStore, ErrorKind, Expect};
use cache_ops::{ExportSettings, PublishSettings, export, publish};
use cache_s3::{S3Exporter, S3Importer, S3Store};
use cache_tests::graphs::{self, Generated};
use cache_tests::servers::s3::{Fault, Options, Plan, Server};
use futures_util::future::join_all;

use crate::{Method, config, config_of, environment};

#[tokio::test(start_paused = true)]
async fn support_for_conditions_is_tested_once() {
    let (server, environment) = (Server::start(Options::default()), environment());
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    let commit = async |cache: &Generated, expect| {
        let exporter = S3Exporter::new(config_of(&server, environment.clone()));
        let settings = ExportSettings::default().with_expect(expect);
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.map(|report| report.committed)
    };
    commit(&first, Expect::Absent).await.unwrap();
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT other 412").count(), 0);
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT blobs 412").count(), 2, "{shorts:?}");
    assert_eq!(commit(&second, Expect::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| short.as_str() == "PUT blobs 412").count(), 0, "{shorts:?}");
    assert!(!server.keys().iter().any(|key| key.contains("buildcache-")), "{:?}", server.keys());
}

#[tokio::test(start_paused = true)]
async fn without_conditions_a_commit_reads_before_and_after() {
    for tells_tags in [true, false] {
        looks_before_and_after(Options { honours_conditions: false, tells_tags, ..Options::default() }).await;
    }
}

async fn looks_before_and_after(options: Options) {
    let server = Server::start(options);
    let [first, second] = [1, 2].map(graphs::cache);
    let commit = async |cache: &Generated, expect| {
        let settings = ExportSettings::default().with_expect(expect);
        let exporter = S3Exporter::new(config(&server));
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.map(|report| report.committed)
    };
    let version = commit(&first, Expect::Absent).await.unwrap().version.unwrap();
    assert_eq!(commit(&second, Expect::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
    commit(&second, Expect::Version(version.clone())).await.unwrap();
    assert_eq!(commit(&first, Expect::Version(version)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let resolved = S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    assert_eq!(resolved.manifest.blobs().len(), second.manifest.blobs().len());
    commit(&first, Expect::Version(resolved.version)).await.unwrap();
    let store = S3Store::new(config(&server));
    let listed = store.caches().await.unwrap().remove(0);
    assert_eq!(store.delete_cache(&listed).await.unwrap(), Deleted::Removed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_conditional_commit_is_no_conflict() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    let exporter = S3Exporter::new(config(&server));
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    // The write succeeds, but its answer is lost.
    server.plan(Plan::new(Method::PUT, "manifests/main", Fault::DropAnswer));
    exporter.commit(&cache.manifest, Expect::Absent).await.unwrap();
    let shorts = server.take_shorts();
    assert!(shorts.contains(&"PUT manifests 412".to_owned()), "{shorts:?}");
}

/// Two publishers to one name in 50 rounds lose nothing of each other.
#[tokio::test(start_paused = true)]
async fn two_publishers_lose_nothing_in_50_rounds() {
    let server = Server::start(Options::default());
    let environment = environment();
    for round in 0..50 {
        let place = config_of(&server, environment.clone()).with_prefix(format!("{round}/"));
        let caches = [graphs::cache(2 * round), graphs::cache(2 * round + 1)];
        let publishes = caches.iter().map(|cache| {
            let place = place.clone();
            async move {
                let (importer, exporter) = (S3Importer::new(place.clone()), S3Exporter::new(place));
                publish(&cache.chains, &cache.blobs, &importer, &exporter, &PublishSettings::default()).await
            }
        });
        for published in join_all(publishes).await {
            published.unwrap();
        }
        let found = S3Importer::new(place).resolve().await.unwrap().unwrap().manifest;
        let found = CacheChains::from_manifest(&found).unwrap();
        let has = |key| found.records().any(|record| found.key(record) == key);
        for cache in &caches {
            assert!(cache.chains.records().all(|record| has(cache.chains.key(record))), "round {round}");
        }
    }
}

/// Of two conditional writers, exactly one commits, in 50 rounds. Without a condition both do, and one whole cache is
/// left.
#[tokio::test(start_paused = true)]
async fn of_two_conditional_writers_one_commits_in_50_rounds() {
    let server = Server::start(Options::default());
    let environment = environment();
    for round in 0..50 {
        let place = config_of(&server, environment.clone()).with_prefix(format!("{round}/"));
        for expect in [Expect::Absent, Expect::Any] {
            let caches = [graphs::cache(2 * round), graphs::cache(2 * round + 1)];
            let settings = ExportSettings::default().with_expect(expect.clone());
            let (settings, place) = (&settings, &place);
            let writes = join_all(caches.iter().map(|cache| async move {
                let exporter = S3Exporter::new(place.clone());
                export(&cache.manifest, &cache.blobs, &exporter, settings).await
            }));
            let versions: Vec<_> =
                writes.await.into_iter().map(|written| written.map(|report| report.committed)).collect();
            let won: Vec<_> = versions.iter().flatten().filter_map(|committed| committed.version.clone()).collect();
            assert_eq!(won.len(), if expect == Expect::Any { 2 } else { 1 }, "round {round}: {versions:?}");
            let lost = versions.iter().filter_map(|version| version.as_ref().err());
            assert!(lost.into_iter().all(|error| error.kind() == ErrorKind::Conflict));
            let found = S3Importer::new(place.clone()).resolve().await.unwrap().unwrap();
            assert!(won.contains(&found.version), "round {round}");
        }
    }
}
