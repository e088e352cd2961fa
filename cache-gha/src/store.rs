//! [`GhaStore`]: lists and deletes the caches of a repository, by GitHub's REST API.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use cache_core::seams::{BlobEntry, CacheEntry, Deleted, Quota, delete_each};
use cache_core::{CacheImporter, CacheStore, Error, ErrorKind, Result, Timestamp, Version};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::keys::{self, BLOBS, INDICES, IndexName, parse_blob, parse_index};
use crate::rest::{Item, Rest};
use crate::{GhaConfig, GhaImporter, error};

/// Between the name of a cache and the ref that it is for.
const AT: &str = "@";
/// The suffix of the name of a cache that BuildKit signs.
const SIGNED: &str = " (signed)";

/// The caches of a repository, of all branches; their names are like `buildkit@refs/heads/main`.
///
/// Only finalised entries are listed. Deleting a cache deletes all of its numbered entries, the newest one last.
pub struct GhaStore {
    config: GhaConfig,
    rest: Rest,
}

/// The entries of one cache, the oldest first.
struct Listed {
    name: String,
    items: Vec<Item>,
}

impl GhaStore {
    /// The store in the repository of `config`; the name of the cache is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a repository: the cache service cannot list.
    pub fn new(config: GhaConfig) -> Result<Self> {
        let repository = config.repository().ok_or_else(|| {
            let error = error::new(ErrorKind::Unsupported, "the cache service can neither list nor delete");
            error.with_hint("GitHub's REST API can: add repository=OWNER/NAME and ghtoken=env:NAME to the spec")
        })?;
        let rest = Rest::new(repository, config.environment())?;
        Ok(Self { rest, config })
    }

    /// Every entry whose key begins with `prefix`, in a scope or in all.
    async fn items(&self, prefix: &str, scope: Option<&str>) -> Result<Vec<Item>> {
        let mut found = self.rest.list(prefix, scope, self.config.retry()).await?;
        found.sort_by(|a, b| a.created_at.cmp(&b.created_at).then(a.id.cmp(&b.id)));
        Ok(found)
    }

    /// Every cache with its entries.
    async fn listed(&self) -> Result<Vec<Listed>> {
        let mut by_name: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in self.items(INDICES, None).await? {
            if let Some((index, _)) = parse_index(&item.key) {
                by_name.entry(name(&index, &item.scope)).or_default().push(item);
            }
        }
        Ok(by_name.into_iter().map(|(name, items)| Listed { name, items }).collect())
    }

    async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.config.retry().run_final(self.config.environment().listener(), call).await
    }

    fn foreign(&self, what: &str) -> Error {
        error::new(ErrorKind::InvalidManifest, format!("the {what} was listed by another store"))
    }

    async fn blob_entries(&self) -> Result<Vec<BlobEntry>> {
        let items = self.items(BLOBS, None).await?;
        Ok(items.iter().filter_map(blob_entry).collect())
    }
}

/// The name of a listed cache.
fn name(index: &IndexName, scope: &str) -> String {
    let signed = if index.is_signed() { SIGNED } else { "" };
    format!("{}{AT}{scope}{signed}", index.cache_name())
}

fn cache_entry(listed: &Listed) -> Option<CacheEntry> {
    let newest = listed.items.last()?;
    let mut entry = CacheEntry::new(Some(listed.name.clone()), Version::new(&newest.key));
    (entry.modified, entry.used, entry.size) = (newest.created_at, newest.last_accessed_at, Some(newest.size_in_bytes));
    Some(entry)
}

fn blob_entry(item: &Item) -> Option<BlobEntry> {
    let version = Version::new(format!("{}{AT}{}", item.id, item.scope));
    Some(BlobEntry { digest: parse_blob(&item.key)?, size: item.size_in_bytes, modified: item.created_at, version })
}

#[async_trait]
impl CacheStore for GhaStore {
    /// Every cache of every branch, signed ones too, each with the size of its newest index and its last use.
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        Ok(self.listed().await?.iter().filter_map(cache_entry).collect())
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    /// Opens exactly the listed entry, through the cache service, whose token must be able to read the scope. A
    /// signature is not verified.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        if parse_index(cache.version.as_str()).is_none() {
            return Err(self.foreign("cache"));
        }
        Ok(Box::new(GhaImporter::of_entry(self.config.clone(), cache.version.as_str().to_owned())?))
    }

    /// The blobs of all branches; a blob of two branches is listed twice.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let listed = stream::once(self.blob_entries());
        listed.map_ok(|entries| stream::iter(entries.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let (index, _) = parse_index(cache.version.as_str()).ok_or_else(|| self.foreign("cache"))?;
        let mut items = self.items(&index.prefix(), None).await?;
        items.retain(|item| Some(name(&index, &item.scope)) == cache.name);
        match items.last() {
            None => return Ok(Deleted::Absent),
            Some(newest) if newest.key != cache.version.as_str() => {
                let error = error::new(ErrorKind::Conflict, "the cache has changed").with("key", &newest.key);
                return Err(error.with("expected", cache.version.as_str()));
            }
            Some(_) => {}
        }
        // The newest is deleted last: otherwise an older one would become the cache.
        for item in &items {
            self.retrying(|| self.rest.delete_key(&item.key, &item.scope)).await?;
        }
        Ok(Deleted::Removed)
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        let listed = blob.version.as_str().split_once(AT).and_then(|(id, scope)| Some((id.parse().ok()?, scope)));
        let (id, scope) = listed.ok_or_else(|| self.foreign("blob"))?;
        if self.retrying(|| self.rest.delete(id)).await? == Deleted::Removed {
            return Ok(Deleted::Removed);
        }
        let key = keys::blob(&blob.digest);
        let is_there = self.items(&key, Some(scope)).await?.iter().any(|item| item.key == key);
        if !is_there {
            return Ok(Deleted::Absent);
        }
        Err(error::new(ErrorKind::Conflict, "the blob was written again").with("key", key))
    }

    /// All caches of the repository count, those that are not BuildKit's too.
    async fn quota(&self) -> Result<Option<Quota>> {
        self.retrying(|| self.rest.quota()).await.map(Some)
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        delete_each(self, blobs).await
    }

    async fn abort_uploads(&self, _: Timestamp) -> Result<usize> {
        Ok(0)
    }
}

impl fmt::Debug for GhaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GhaStore").field("config", &self.config).finish_non_exhaustive()
    }
}
