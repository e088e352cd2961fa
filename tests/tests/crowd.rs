//! Eight processes publish several caches each to one place at once: nothing is lost, with or without conditional
//! writes.
//!
//! `CROWD_ROUNDS` sets how many caches each of them publishes.

#![cfg(all(feature = "azblob", feature = "gha", feature = "local", feature = "registry", feature = "s3"))]

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use cache_core::{CacheBackend, CacheChains, CacheConfig, CacheSpec};
use cache_gha::ApiVersion;
use cache_ops::{Depth, verify};
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places;
use cache_tests::servers::actions;
use cache_tests::servers::docker_registry::{DISTRIBUTION_3, DockerRegistry, Setup};
use cache_tests::servers::registry::{Access, Account, Options};

const PROCESSES: u64 = 8;
/// The default number of caches for each process.
const ROUNDS: u64 = 5;

/// The number of caches for each process: `CROWD_ROUNDS`, or the default.
fn rounds(default: u64) -> u64 {
    let said = std::env::var("CROWD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    said.unwrap_or(default)
}

fn seeds(process: u64, rounds: u64) -> impl Iterator<Item = u64> {
    (0..rounds).map(move |round| process * rounds + round)
}

/// Runs all processes to their end. Each of them reads the cache back and checks that it contains its own ones.
fn crowd(spec: &CacheSpec, rounds: u64) {
    // `Display` hides secrets, so the spec is written attribute by attribute.
    let attributes = spec.names().map(|name| format!(",{name}={}", spec.get(name).unwrap_or_default()));
    let spec = format!("type={}{}", spec.kind(), attributes.collect::<String>());
    let start = |process| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
        command.arg(&spec).args(seeds(process, rounds).map(|seed| seed.to_string()));
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the publisher starts")
    };
    let running: Vec<Child> = (0..PROCESSES).map(start).collect();
    for child in running {
        let output = child.wait_with_output().expect("the publisher ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn caches(rounds: u64) -> Vec<Generated> {
    (0..PROCESSES).flat_map(|process| seeds(process, rounds)).map(graphs::cache).collect()
}

/// The union of all caches.
fn union(caches: &[Generated]) -> CacheChains {
    let mut all = CacheChains::new();
    all.merge_all(caches.iter().map(|cache| &cache.chains)).expect("they are sound");
    all
}

/// The config of a graph, without the descriptors that some stores keep in it.
fn written(chains: &CacheChains) -> CacheConfig {
    let mut config = chains.to_manifest().config().clone();
    config.layers.iter_mut().for_each(|layer| layer.annotations = None);
    config
}

/// The cache at a place, with every blob verified.
async fn verified(backend: &dyn CacheBackend, spec: &CacheSpec) -> CacheChains {
    let importer = backend.importer(spec).await.unwrap();
    let manifest = importer.resolve().await.unwrap().expect("something was published").manifest;
    let report = verify(&manifest, &*importer, Depth::Deep, 8).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    CacheChains::from_manifest(&manifest).unwrap()
}

async fn nothing_is_lost(place: &dyn Harness) {
    nothing_is_lost_at(&*place.backend(), &place.spec(), rounds(ROUNDS)).await;
}

async fn nothing_is_lost_at(backend: &dyn CacheBackend, spec: &CacheSpec, rounds: u64) {
    let begun = Instant::now();
    crowd(spec, rounds);
    println!("{PROCESSES} processes, {rounds} rounds: {:.1} s", begun.elapsed().as_secs_f32());
    let found = verified(backend, spec).await;
    assert_eq!(written(&found), written(&union(&caches(rounds))));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_an_s3_that_ignores_conditions() {
    nothing_is_lost(&places::S3::overwriting()).await;
}

/// This takes long: in this service one of the concurrent writers succeeds at a time, and each of them waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_gha_that_gives_a_number_twice() {
    let place = places::Gha::with(ApiVersion::V1, actions::Options { doubles: true, ..actions::Options::default() });
    nothing_is_lost_at(&*place.backend(), &place.spec(), rounds(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_registry() {
    let account = Account::new("nobody", "needs one");
    nothing_is_lost(&places::Registry::behind(Access::Open, account, Options::default())).await;
}

/// Runs the crowd on a real registry, if it is installed.
async fn nothing_is_lost_in_the_real(registry: Option<DockerRegistry>, missing: &str) {
    let Some(registry) = registry else {
        println!("skipped: {missing}");
        return;
    };
    let backend = cache_registry::Registry::new(cache_registry::Environment::new());
    let spec = CacheSpec::new("registry").with("ref", format!("{}/team/cache:main", registry.host()));
    nothing_is_lost_at(&backend, &spec, rounds(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_docker_registry() {
    let registry = DockerRegistry::is_installed().then(|| DockerRegistry::start(Setup::Plain));
    nothing_is_lost_in_the_real(registry, "docker-registry is not installed; `cargo xtask setup` does that").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_distribution_3() {
    let missing = format!("{DISTRIBUTION_3} does not say where the program is");
    nothing_is_lost_in_the_real(DockerRegistry::start_distribution_3(), &missing).await;
}
