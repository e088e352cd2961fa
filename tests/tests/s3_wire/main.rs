//! The requests to an S3 store: their number and headers, and the handling of bad answers.

#![cfg(feature = "s3")]

mod commit;
mod dialects;
mod export;
mod faults;
mod large;
mod lists;
mod refresh;
mod store;

use std::time::Duration;

use bytes::Bytes;
use cache_core::seams::Committed;
use cache_core::{BlobProvider, Descriptor, Error, MediaType, Result};
use cache_kit::{PartLimits, Timeouts};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_s3::{Credential, Environment, S3Config, S3Exporter, S3Importer};
use cache_tests::graphs::Generated;
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, SECRET_KEY, Server};
use futures_util::stream::TryStreamExt;

type Method = hyper::Method;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

/// The smallest part that S3 accepts, except for the last one.
const PART: u64 = 5 << 20;
/// Two parts and a bit.
const LARGE: usize = (11 << 20) - 1;

/// Small parts, so that tests need no large blobs, and no timeouts, since paused time jumps ahead.
fn environment() -> Environment {
    let environment = Environment::new().with_credential(Credential::new(ACCESS_KEY, SECRET_KEY));
    environment
        .tune(|tuning| tuning.with_parts(PartLimits::new(PART, 4)))
        .with_copies(2 * PART, PART)
        .tune(|tuning| tuning.with_timeouts(Timeouts::none()))
}

fn config_of(server: &Server, environment: Environment) -> S3Config {
    S3Config::new(BUCKET, "eu-test-1", environment).with_name("main").with_endpoint(server.endpoint(), true)
}

fn config(server: &Server) -> S3Config {
    config_of(server, environment())
}

fn key(blob: &Descriptor) -> String {
    format!("blobs/{}", blob.digest)
}

async fn write(config: S3Config, cache: &Generated) -> Result<Committed, Error> {
    let exporter = S3Exporter::new(config);
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(|report| report.committed)
}

async fn bytes_of(importer: &S3Importer, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    Ok(importer.read(blob, None).await?.try_collect::<Vec<Bytes>>().await?.concat())
}
