//! The requests to Azure Blob Storage: their number and names, and the handling of bad answers.

#![cfg(feature = "azblob")]

mod access;
mod commit;
mod dialects;
mod export;
mod faults;
mod names;
mod refresh;
mod store;

use bytes::Bytes;
use cache_azblob::{AzblobConfig, AzblobExporter, AzblobImporter};
use cache_core::{BlobProvider, Descriptor, Error, MediaType};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_tests::graphs::Generated;
use cache_tests::servers::azblob::Server;
use futures_util::stream::TryStreamExt;

type Method = hyper::Method;

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

/// The requests since the last call: method, kind and status.
fn shorts(server: &Server) -> Vec<String> {
    let kinds = [
        ("comp=list", "list"),
        ("restype=container", "container"),
        ("comp=metadata", "metadata"),
        ("comp=blocklist", "blocklist"),
        ("comp=block&", "block"),
        ("blockid=", "block"),
        ("/blobs%2F", "blob"),
        ("/manifests%2F", "index"),
    ];
    let short = |path: &str| {
        kinds
            .iter()
            .find(|(part, _)| path.contains(part) && !(*part == "comp=list" && path.contains("comp=blocklist")))
            .map_or("other", |(_, kind)| kind)
    };
    server
        .take_log()
        .iter()
        .map(|logged| format!("{} {} {}", logged.method, short(&logged.path), logged.status))
        .collect()
}

fn importer(config: AzblobConfig) -> AzblobImporter {
    AzblobImporter::new(config).unwrap()
}

fn exporter(config: AzblobConfig) -> AzblobExporter {
    AzblobExporter::new(config).unwrap()
}

async fn write(config: AzblobConfig, cache: &Generated) -> Result<(), Error> {
    export(&cache.manifest, &cache.blobs, &exporter(config), &ExportSettings::default()).await.map(drop)
}

async fn bytes_of(importer: &AzblobImporter, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    Ok(importer.read(blob, None).await?.try_collect::<Vec<Bytes>>().await?.concat())
}

fn names(server: &Server) -> Vec<String> {
    server.stored(|stored| stored.blobs().map(|(_, name, _)| name.clone()).collect())
}
