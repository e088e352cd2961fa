//! [`AzblobImporter`]: reads a cache from a container.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheChains, CacheImporter, CacheManifest, Descriptor, Resolved, Result, Version,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::AzblobConfig;
use crate::client::Client;
use crate::reader;

/// How many indexes are read at once.
const AT_ONCE: usize = 4;

/// A cache in Azure Blob Storage, for reading.
///
/// All names are read, and their caches are merged. If the container or an index does not exist, there is no cache;
/// nothing is created. The version is that of the first name.
pub struct AzblobImporter {
    client: Arc<Client>,
}

impl AzblobImporter {
    /// A reader of the cache that `config` names; nothing is sent before the first call.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) when the credential is missing or invalid.
    pub fn new(config: AzblobConfig) -> Result<Self> {
        Ok(Self::over(Client::new(config)?))
    }

    /// A reader that shares connections.
    pub(crate) fn over(client: Client) -> Self {
        Self { client: Arc::new(client) }
    }

    async fn read(&self, key: &str) -> Result<Option<(CacheManifest, String)>> {
        let limit = self.client.config().limits().config;
        let Some((bytes, etag)) = self.client.retrying(|| self.client.read(key, limit)).await? else { return Ok(None) };
        Ok(Some((self.decode(key, bytes)?, etag)))
    }

    fn decode(&self, key: &str, bytes: Bytes) -> Result<CacheManifest> {
        CacheManifest::decode_flat(bytes).map_err(|error| self.client.with_context(error).with("key", key))
    }
}

#[async_trait]
impl CacheImporter for AzblobImporter {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let keys = self.client.config().keys().manifests();
        let reads: Vec<BoxFuture<'_, _>> = keys.iter().map(|key| self.read(key).boxed()).collect();
        let found: Vec<Option<(CacheManifest, String)>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        // Empty if the index at the first name does not exist: a commit then expects that.
        let first = found.first().and_then(Option::as_ref).map(|(_, etag)| etag.clone()).unwrap_or_default();
        let manifests = found.into_iter().flatten().map(|(manifest, _)| manifest).collect();
        Ok(merge(manifests)?.map(|manifest| Resolved { manifest, version: Version::new(first) }))
    }
}

/// A cache under one name keeps its bytes.
fn merge(mut manifests: Vec<CacheManifest>) -> Result<Option<CacheManifest>> {
    if manifests.len() < 2 {
        return Ok(manifests.pop());
    }
    let mut merged = CacheChains::new();
    for manifest in &manifests {
        merged.merge(&CacheChains::from_manifest(manifest)?)?;
    }
    Ok(Some(merged.to_manifest()))
}

#[async_trait]
impl BlobProvider for AzblobImporter {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let key = self.client.config().keys().blob(&blob.digest);
        let found = self.client.retrying(|| self.client.head(&key)).await;
        let found = found.map_err(|error| error.with("blob", blob.digest))?;
        Ok(found.map(|found| BlobInfo { size: found.size, modified: found.modified, is_archived: found.is_archived }))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        reader::open(Arc::clone(&self.client), blob, range).await
    }
}

impl fmt::Debug for AzblobImporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzblobImporter").field("config", self.client.config()).finish_non_exhaustive()
    }
}
