//! The requests to the cache service: their number, the limits, and the handling of bad answers.

#![cfg(feature = "gha")]

mod access;
mod dialects;
mod export;
mod faults;
mod limits;
mod read;
mod store;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cache_core::{CacheImporter, Descriptor, Error, Event, MediaType};
use cache_gha::{GhaConfig, GhaExporter, GhaImporter};
use cache_memory::MemoryCache;
use cache_ops::{Depth, ExportSettings, export, verify};
use cache_tests::graphs::Generated;
use cache_tests::places::gha::{MAIN, token};

type Method = hyper::Method;

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

fn main_token() -> String {
    token(&[(MAIN, 3)])
}

async fn write(config: GhaConfig, cache: &Generated) -> Result<(), Error> {
    let exporter = GhaExporter::new(config)?;
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(drop)
}

async fn assert_holds(config: GhaConfig, cache: &Generated) {
    let importer = GhaImporter::new(config).unwrap();
    let found = importer.resolve().await.unwrap().expect("the place holds a cache").manifest;
    assert_eq!(found.config().records, cache.manifest.config().records);
    let report = verify(&found, &importer, Depth::Deep, 4).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

/// Settings that collect events as text.
fn told() -> (ExportSettings, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keeper = Arc::clone(&lines);
    let keep = move |event: &Event<'_>| match event {
        Event::Retrying { error, wait } => keeper.lock().unwrap().push(format!("retrying in {wait:?}: {error}")),
        Event::Throttled { reason, left, .. } => keeper.lock().unwrap().push(format!("{reason}, left {left:?}")),
        _ => {}
    };
    (ExportSettings::default().with_progress(Arc::new(keep)), lines)
}
