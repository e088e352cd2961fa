//! [`AzblobStore`]: lists and deletes the caches and blobs of a container.

use std::fmt;

use async_trait::async_trait;
use cache_core::seams::{BlobEntry, CacheEntry, Deleted, Quota};
use cache_core::{CacheImporter, CacheStore, ErrorKind, Result, Timestamp, Version};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Listed};
use crate::{AzblobConfig, AzblobImporter, error, listing};

/// How many blobs are deleted at once: the SDK has no batches.
const DELETIONS: usize = 8;

/// The caches below one prefix of a container; the names in a configuration are ignored.
///
/// A container that does not exist has no caches. Caches and blobs are deleted only if their ETag is still that of the
/// list.
pub struct AzblobStore {
    client: Client,
}

impl AzblobStore {
    /// The store that `config` is in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] when the credential is missing or invalid.
    pub fn new(config: AzblobConfig) -> Result<Self> {
        Ok(Self { client: Client::new(config)? })
    }

    async fn delete(&self, key: &str, version: &Version) -> Result<Deleted> {
        let deleted = self.client.retrying(|| self.client.delete(key, version.as_str())).await;
        match deleted {
            Ok(true) => Ok(Deleted::Removed),
            Ok(false) => Ok(Deleted::Absent),
            // The condition also fails if the blob does not exist.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if self.client.retrying(|| self.client.head(key)).await?.is_none() {
                    return Ok(Deleted::Absent);
                }
                let changed = error::new(ErrorKind::Conflict, "it has changed since it was listed");
                Err(self.client.with_context(changed).with("key", key).with_source(error))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl CacheStore for AzblobStore {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        let keys = self.client.config().keys();
        let entry = |listed: Listed| {
            // An index has at least two bytes; an empty blob is a folder, made by a tool or the service.
            let name = keys.name_of(&listed.key).filter(|_| listed.size > 0)?.to_owned();
            let mut entry = CacheEntry::new(Some(name), Version::new(listed.etag));
            entry.modified = listed.modified;
            entry.size = Some(listed.size);
            Some(entry)
        };
        let listed = listing::blobs(&self.client, keys.manifests_start().to_owned());
        let mut caches: Vec<CacheEntry> =
            listed.try_filter_map(|listed| async { Ok(entry(listed)) }).try_collect().await?;
        caches.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(caches)
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        let keys = self.client.config().keys().at(cache.name.as_deref().unwrap_or_default())?;
        Ok(Box::new(AzblobImporter::over(self.client.at(keys))))
    }

    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let keys = self.client.config().keys();
        let listed = listing::by_digest(&self.client, keys.blobs_start());
        let entries = listed.try_filter_map(move |listed| async move {
            Ok(keys.digest_of(&listed.key).map(|digest| BlobEntry {
                digest,
                size: listed.size,
                modified: listed.modified,
                version: Version::new(listed.etag),
            }))
        });
        entries.boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let keys = self.client.config().keys().at(cache.name.as_deref().unwrap_or_default())?;
        self.delete(keys.first(), &cache.version).await
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        self.delete(&self.client.config().keys().blob(&blob.digest), &blob.version).await
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let deletions: Vec<_> = blobs.iter().map(|blob| self.delete_blob(blob)).collect();
        stream::iter(deletions).buffered(DELETIONS).collect().await
    }

    async fn abort_uploads(&self, _: Timestamp) -> Result<usize> {
        Ok(0)
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

impl fmt::Debug for AzblobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzblobStore").field("config", self.client.config()).finish_non_exhaustive()
    }
}
