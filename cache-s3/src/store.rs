//! [`S3Store`]: lists and deletes the caches and blobs of a bucket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use async_trait::async_trait;
use cache_core::seams::{BlobEntry, CacheEntry, ContributionName, Deleted, Quota};
use cache_core::{CacheImporter, CacheStore, Error, ErrorKind, Result, Timestamp, Version};
use cache_kit::Reach;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Found};
use crate::uploads::abort_uploads;
use crate::{S3Config, S3Importer, error, listing, names};

/// How many objects S3 deletes in one request, and how many requests delete one each at the same time.
const BATCH: usize = 1_000;
const DELETIONS: usize = 8;

/// The caches in a bucket, below one prefix; every object at the key of an index is a cache.
///
/// The version of a blob is its ETag with its time, so that a blob that was refreshed since it was listed is kept. S3
/// has no condition on the time, so it is compared right before a deletion: by one list for up to 1,000 blobs, which
/// are then deleted in one request. An index is deleted on the condition of its ETag, if the store honours that.
pub struct S3Store {
    client: Client,
}

impl S3Store {
    /// The store of `config`; its names are ignored.
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        Self { client: Client::new(config) }
    }

    fn key(&self, blob: &BlobEntry) -> String {
        self.client.config().keys().blob(&blob.digest)
    }

    /// Deletes those that are as they were listed.
    async fn delete_batch(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let keys: BTreeSet<String> = blobs.iter().map(|blob| self.key(blob)).collect();
        let found = match listing::list(&self.client, &keys, Reach::Whole).await {
            Ok(listed) => listed.found,
            Err(error) => return blobs.iter().map(|_| Err(again(&error))).collect(),
        };
        let is_same = |blob: &&BlobEntry| found.get(&self.key(blob)).is_some_and(|now| state(now) == blob.version);
        let doomed: BTreeSet<String> = blobs.iter().filter(is_same).map(|blob| self.key(blob)).collect();
        let mut failed = self.delete_keys(doomed.iter().cloned().collect()).await;
        blobs.iter().map(|blob| self.outcome(blob, &found, &doomed, &mut failed)).collect()
    }

    fn outcome(
        &self,
        blob: &BlobEntry,
        found: &BTreeMap<String, Found>,
        doomed: &BTreeSet<String>,
        failed: &mut HashMap<String, Error>,
    ) -> Result<Deleted> {
        let key = self.key(blob);
        if !found.contains_key(&key) {
            return Ok(Deleted::Absent);
        }
        if !doomed.contains(&key) {
            let error = error::new(ErrorKind::Conflict, "the blob has changed").with("blob", blob.digest);
            return Err(self.client.with_context(error, &key));
        }
        failed.remove(&key).map_or(Ok(Deleted::Removed), |error| Err(error.with("blob", blob.digest)))
    }

    /// Deletes at most 1,000 keys: in one request, or in one each if the store does not support that.
    async fn delete_keys(&self, keys: Vec<String>) -> HashMap<String, Error> {
        if keys.len() > 1 {
            let deleted = self.client.retrying(|| self.client.delete_all(&keys)).await;
            match deleted {
                Ok(failed) => return failed,
                Err(error) if is_about_batches(&error) => {}
                Err(error) => return keys.into_iter().map(|key| (key, again(&error))).collect(),
            }
        }
        let deletions = stream::iter(keys).map(|key| async move {
            let deleted = self.client.retrying(|| self.client.delete(&key, None)).await;
            deleted.err().map(|error| (key, error))
        });
        let failed: Vec<_> = deletions.boxed().buffer_unordered(DELETIONS).collect().await;
        failed.into_iter().flatten().collect()
    }
}

#[async_trait]
impl CacheStore for S3Store {
    /// Every index, without reading any.
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        self.entries(false).await
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        self.entries(true).await
    }

    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(S3Importer::over(self.client.named(cache.name.as_deref().unwrap_or_default()))))
    }

    /// 1,000 for each request, and if there are more than about 32,000, up to 16 requests at once.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let keys = self.client.config().keys();
        let objects = listing::blobs(&self.client, keys.blobs());
        let blobs = objects.try_filter_map(move |(key, found)| async move {
            Ok(keys.digest_at(&key).map(|digest| BlobEntry {
                digest,
                size: found.size,
                modified: found.modified,
                version: state(&found),
            }))
        });
        blobs.boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let name = cache.name.as_deref().unwrap_or_default();
        let key = self.client.config().keys().manifest(name);
        let Some(found) = self.client.retrying(|| self.client.head(&key)).await? else { return Ok(Deleted::Absent) };
        if !is_same(&found, cache) {
            return Err(self.changed(&key, name));
        }
        let listed = Some(cache.version.as_str()).filter(|etag| !etag.is_empty());
        match self.client.retrying(|| self.client.delete(&key, listed)).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Err(self.changed(&key, name)),
            // Not every store takes a condition here; we have looked.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.client.retrying(|| self.client.delete(&key, None)).await.map(|()| Deleted::Removed)
            }
            deleted => deleted.map(|()| Deleted::Removed),
        }
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        let outcome = self.delete_batch(std::slice::from_ref(blob)).await.pop();
        outcome.unwrap_or(Ok(Deleted::Absent))
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let mut outcomes = Vec::with_capacity(blobs.len());
        for batch in blobs.chunks(BATCH) {
            outcomes.extend(self.delete_batch(batch).await);
        }
        outcomes
    }

    async fn abort_uploads(&self, before: Timestamp) -> Result<usize> {
        abort_uploads(&self.client, |begun| begun < before).await
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

impl S3Store {
    /// The indexes of caches, or those of contributions.
    async fn entries(&self, are_contributions: bool) -> Result<Vec<CacheEntry>> {
        let keys = self.client.config().keys();
        let mut objects = listing::objects(&self.client, keys.manifests());
        let mut caches = Vec::new();
        while let Some((key, found)) = objects.try_next().await? {
            // An index has at least two bytes; an empty object is a folder of some tools.
            let Some(name) = keys.name_at(&key).filter(|_| found.size > 0) else { continue };
            if ContributionName::parse(name).is_some() != are_contributions {
                continue;
            }
            let mut entry = CacheEntry::new(Some(name.to_owned()), Version::new(found.etag));
            entry.modified = found.modified;
            entry.size = Some(found.size);
            caches.push(entry);
        }
        if caches.is_empty() && !are_contributions {
            names::check_list(&self.client).await?;
        }
        caches.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(caches)
    }

    fn changed(&self, key: &str, name: &str) -> Error {
        self.client.with_context(error::new(ErrorKind::Conflict, "the cache has changed").with("name", name), key)
    }
}

/// Whether an index is the listed one: by its ETag, or by its time if the store has left out one of the ETags.
fn is_same(found: &Found, listed: &CacheEntry) -> bool {
    let etag = listed.version.as_str();
    match found.etag.is_empty() || etag.is_empty() {
        true => {
            found.modified.as_ref().map(Timestamp::unix_seconds)
                == listed.modified.as_ref().map(Timestamp::unix_seconds)
        }
        false => found.etag == etag,
    }
}

/// The state of a blob: its ETag and its time.
fn state(found: &Found) -> Version {
    Version::new(format!("{} {}", found.etag, found.modified.unwrap_or_default()))
}

/// The same refusal, for each of those that it was about.
fn again(error: &Error) -> Error {
    let said = error::new(error.kind(), "cannot delete the object").with("cause", error);
    error.hint().into_iter().fold(said, Error::with_hint)
}

/// Whether a store has refused the many at once, and may take one.
fn is_about_batches(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidSpec | ErrorKind::DigestMismatch)
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("config", self.client.config()).finish_non_exhaustive()
    }
}
