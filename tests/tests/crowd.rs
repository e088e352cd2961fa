//! Eight processes publish to one place at once, several caches each: nothing is lost where a store has conditional
//! writes, and nothing is broken where it has none.
//!
//! `CROWD_ROUNDS` says how many caches each of them publishes.

#![cfg(all(feature = "azblob", feature = "gha", feature = "local", feature = "registry", feature = "s3"))]

use std::process::{Child, Command, Stdio};

use cache_core::{CacheBackend, CacheChains, CacheConfig, CacheSpec};
use cache_ops::{Depth, ExportSettings, JoinedBlobs, publish, verify};
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places;
use cache_tests::servers::registry::{Access, Account, Options};

const PROCESSES: u64 = 8;
/// How many caches a process publishes where nobody says another number.
const ROUNDS: u64 = 5;

fn seeds(process: u64) -> impl Iterator<Item = u64> {
    let said = std::env::var("CROWD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds = said.unwrap_or(ROUNDS);
    (0..rounds).map(move |round| process * rounds + round)
}

/// Runs all processes to their end.
fn crowd(spec: &CacheSpec) {
    // A spec shows itself without its secrets, so it is put together by hand.
    let attributes = spec.names().map(|name| format!(",{name}={}", spec.get(name).unwrap_or_default()));
    let spec = format!("type={}{}", spec.kind(), attributes.collect::<String>());
    let start = |process| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
        command.arg(&spec).args(seeds(process).map(|seed| seed.to_string()));
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the publisher starts")
    };
    let running: Vec<Child> = (0..PROCESSES).map(start).collect();
    for child in running {
        let output = child.wait_with_output().expect("the publisher ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn caches() -> Vec<Generated> {
    (0..PROCESSES).flat_map(seeds).map(graphs::cache).collect()
}

/// What everybody's caches are together.
fn union(caches: &[Generated]) -> CacheChains {
    let mut all = CacheChains::new();
    all.merge_all(caches.iter().map(|cache| &cache.chains)).expect("they are sound");
    all
}

/// The graph as it is written; where a store keeps descriptors in it, without them.
fn written(chains: &CacheChains) -> CacheConfig {
    let mut config = chains.to_manifest().config().clone();
    config.layers.iter_mut().for_each(|layer| layer.annotations = None);
    config
}

/// The cache at a place, every blob of it read.
async fn verified(backend: &dyn CacheBackend, spec: &CacheSpec) -> CacheChains {
    let importer = backend.importer(spec).await.unwrap();
    let manifest = importer.resolve().await.unwrap().expect("something was published").manifest;
    let report = verify(&manifest, &*importer, Depth::Deep, 8).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    CacheChains::from_manifest(&manifest).unwrap()
}

async fn nothing_is_lost(place: &dyn Harness) {
    crowd(&place.spec());
    let found = verified(&*place.backend(), &place.spec()).await;
    assert_eq!(written(&found), written(&union(&caches())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_directory() {
    nothing_is_lost(&places::Local::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_s3() {
    nothing_is_lost(&places::S3::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_azblob() {
    nothing_is_lost(&places::Azblob::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_gha() {
    nothing_is_lost(&places::Gha::v2()).await;
}

/// A registry has no conditional writes: of writers that meet, one may replace the other. What the tag leads to is sound
/// all the same, and whoever publishes again adds to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_keeps_a_sound_cache_and_takes_again_what_was_lost() {
    let account = Account::new("nobody", "needs one");
    let place = places::Registry::behind(Access::Open, account, Options::default());
    crowd(&place.spec());
    let (backend, spec) = (place.backend(), place.spec());
    verified(&*backend, &spec).await;
    let caches = caches();
    let blobs = caches.iter().fold(JoinedBlobs::new(), |blobs, cache| blobs.with(&cache.manifest, &cache.blobs));
    let (importer, exporter) = backend.publisher(&spec).await.unwrap();
    let all = union(&caches);
    publish(&all, &blobs, (&*importer, &*exporter), &ExportSettings::default()).await.unwrap();
    assert_eq!(written(&verified(&*backend, &spec).await), written(&all));
}
