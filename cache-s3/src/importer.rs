//! [`S3Importer`]: reads a cache from a bucket.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheImporter, CacheManifest, Descriptor, Error, Resolved, Result, Version,
};

use crate::S3Config;
use crate::client::Client;
use crate::reader;

/// A cache in a bucket, for reading: the first name of its configuration.
///
/// If there is no index, there is no cache. A bucket that does not exist is an error, as in BuildKit. Errors that may
/// pass are retried, and a stream that breaks is resumed where it stopped. Nothing is sent before the first call.
pub struct S3Importer {
    client: Arc<Client>,
}

impl S3Importer {
    /// An importer of the cache in `config`; nothing is sent before [`resolve`](CacheImporter::resolve).
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        Self::over(Client::new(config))
    }

    /// A reader that shares a connection.
    pub(crate) fn over(client: Client) -> Self {
        Self { client: Arc::new(client) }
    }
}

#[async_trait]
impl CacheImporter for S3Importer {
    /// One GET.
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let config = self.client.config();
        let key = config.keys().manifest(config.first_name());
        let read = self.client.retrying(|| self.client.read(&key, config.limits().config)).await?;
        let Some((bytes, etag)) = read else { return Ok(None) };
        let about = |error: Error| self.client.with_context(error, &key);
        let manifest = CacheManifest::decode_flat(bytes).map_err(about)?;
        Ok(Some(Resolved { manifest, version: Version::new(etag) }))
    }
}

#[async_trait]
impl BlobProvider for S3Importer {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let key = self.client.config().keys().blob(&blob.digest);
        let found = self.client.retrying(|| self.client.head(&key)).await;
        Ok(found.map_err(|error| error.with("blob", blob.digest))?.map(|found| BlobInfo {
            size: found.size,
            modified: found.modified,
            is_archived: found.is_archived,
        }))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        reader::open(Arc::clone(&self.client), blob, range).await
    }
}

impl fmt::Debug for S3Importer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Importer").field("config", self.client.config()).finish_non_exhaustive()
    }
}
