//! Commits with and without conditions, and concurrent writers.

use cache_core::{CacheExporter, CacheImporter, ErrorKind, Expect};
use cache_ops::{PublishSettings, publish};
use cache_tests::graphs;
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Fault, Plan};
use futures_util::future::join_all;

use crate::{Method, exporter, importer, write};

/// Two publishers in 50 rounds lose nothing of each other.
#[tokio::test(start_paused = true)]
async fn two_publishers_lose_nothing() {
    let caches = [graphs::cache(1), graphs::cache(2)];
    for round in 0..50 {
        let place = Azblob::new();
        let settings = PublishSettings::default();
        let publishing = caches.iter().map(|cache| {
            let (from, to, settings) = (importer(place.config()), exporter(place.config()), settings.clone());
            async move { publish(&cache.chains, &cache.blobs, &from, &to, &settings).await }
        });
        for published in join_all(publishing).await {
            published.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        let found = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
        for cache in &caches {
            for blob in cache.manifest.blobs() {
                assert!(found.descriptor(&blob.digest).is_some(), "round {round}: {} is lost", blob.digest);
            }
        }
    }
}

/// Two writers in 50 rounds: exactly one of two conditional commits succeeds, and both of two plain ones.
#[tokio::test(start_paused = true)]
async fn one_of_two_conditional_commits_wins() {
    let caches = [graphs::cache(1), graphs::cache(2)];
    let place = Azblob::new();
    write(place.config(), &graphs::cache(3)).await.unwrap();
    for round in 0..50 {
        let version = importer(place.config()).resolve().await.unwrap().unwrap().version;
        let commits = caches.iter().map(|cache| {
            let (to, expect) = (exporter(place.config()), Expect::Version(version.clone()));
            async move { to.commit(&cache.manifest, expect).await }
        });
        let outcomes = join_all(commits).await;
        let winners: Vec<usize> = (0..2).filter(|at| outcomes[*at].is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        let lost = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).unwrap();
        assert_eq!(lost.kind(), ErrorKind::Conflict, "{lost:?}");
        let found = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
        assert_eq!(found.config().records, caches[winners[0]].manifest.config().records);
        let plain = caches.iter().map(|cache| {
            let to = exporter(place.config());
            async move { to.commit(&cache.manifest, Expect::Any).await }
        });
        assert!(join_all(plain).await.iter().all(Result::is_ok));
    }
}

/// A commit whose answer is lost has succeeded: the retry recognises it as its own.
#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_not_a_conflict() {
    let place = Azblob::new();
    let cache = graphs::cache(1);
    let to = exporter(place.config());
    for blob in cache.manifest.blobs() {
        to.push(blob, &cache.blobs).await.unwrap();
    }
    place.server().plan(Plan::new(Method::PUT, "/manifests%2F", Fault::DropAfter(0)));
    let committed = to.commit(&cache.manifest, Expect::Absent).await.unwrap();
    assert_eq!(committed.version, Some(importer(place.config()).resolve().await.unwrap().unwrap().version));
}
