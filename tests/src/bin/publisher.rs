//! Publishes generated caches to a place, one after the other, for the test that runs many of these programs at once:
//! `publisher SPEC SEED…`.

use std::process::ExitCode;
use std::time::Duration;

use cache_core::seams::Publisher;
use cache_core::{CacheChains, CacheSpec, Result};
use cache_ops::{Backends, PublishSettings, publish};
use cache_tests::graphs;

/// Longer than the servers of the tests take to make an index visible.
const SETTLE_TIME: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [spec, seeds @ ..] = &args[..] else {
        eprintln!("usage: publisher SPEC SEED…");
        return ExitCode::from(2);
    };
    for seed in seeds {
        if let Err(error) = add(spec, seed.parse().expect("a seed is a number")).await {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Publishes a cache, and checks that the cache that is read back contains it.
async fn add(spec: &str, seed: u64) -> Result<()> {
    let (backends, spec): (_, CacheSpec) = (backends(), spec.parse()?);
    let Publisher { importer, exporter } = backends.find(&spec)?.publisher(&spec).await?;
    let cache = graphs::cache(seed);
    let settings = PublishSettings::default();
    let published = publish(&cache.chains, &cache.blobs, &*importer, &*exporter, &settings).await?;
    let found = CacheChains::from_manifest(&published.manifest)?;
    let mut with_own = found.clone();
    with_own.merge(&cache.chains)?;
    assert_eq!(with_own.to_manifest().config(), found.to_manifest().config(), "{seed} is not in what was read back");
    Ok(())
}

/// Every backend for several writers. The environment is not read, and no budget slows the test down.
fn backends() -> Backends {
    let gha = cache_gha::Environment::new().with_upload_budget(100_000, Duration::from_secs(1));
    Backends::new()
        .with(cache_azblob::Azblob::new(cache_azblob::Environment::new()))
        .with(cache_gha::Gha::new(gha.with_settle_time(SETTLE_TIME)))
        .with(cache_local::Local)
        .with(cache_registry::Registry::new(cache_registry::Environment::new()))
        .with(cache_s3::S3::new(cache_s3::Environment::new()))
}
