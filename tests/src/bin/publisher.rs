//! Publishes generated caches to a place, one after the other, for the test that runs many at once:
//! `publisher SPEC SEED…`.

use std::process::ExitCode;
use std::time::Duration;

use cache_core::{Backends, CacheSpec, Result};
use cache_ops::{ExportSettings, publish};
use cache_tests::graphs;

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

async fn add(spec: &str, seed: u64) -> Result<()> {
    let (backends, spec): (_, CacheSpec) = (backends(), spec.parse()?);
    let (importer, exporter) = backends.find(&spec)?.publisher(&spec).await?;
    let cache = graphs::cache(seed);
    publish(&cache.chains, &cache.blobs, (&*importer, &*exporter), &ExportSettings::default()).await.map(drop)
}

/// Every store that several may write to; nothing comes from the environment, and no budget slows a test down.
fn backends() -> Backends {
    let unlimited = (100_000, Duration::from_secs(1));
    Backends::new()
        .with(cache_azblob::Azblob::new(cache_azblob::Environment::new()))
        .with(cache_gha::Gha::new(cache_gha::Environment::new().with_upload_budget(unlimited.0, unlimited.1)))
        .with(cache_local::Local)
        .with(cache_registry::Registry::new(cache_registry::Environment::new()))
        .with(cache_s3::S3::new(cache_s3::Environment::new()))
}
