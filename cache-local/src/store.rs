//! [`LocalStore`]: lists and deletes the caches and blobs of a directory.

use async_trait::async_trait;
use cache_core::model::InvalidDigest;
use cache_core::seams::{BlobEntry, CacheEntry, Deleted, Quota};
use cache_core::{CacheImporter, CacheStore, ErrorKind, Result, Timestamp};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::deletions::{Deletions, state};
use crate::error::at;
use crate::index::{Entry, Index};
use crate::ingest::{Ingest, clean};
use crate::layout::{Layout, modified};
use crate::task::{blocking, start};
use crate::unnamed::unnamed;
use crate::update::Place;
use crate::walk::{BlobFile, BlobName, Walk, version};
use crate::{LocalConfig, LocalImporter};

/// How many blobs are looked up before the first of them is handed out.
const BATCH: usize = 256;
/// How many batches are looked up at once.
const LOOKUPS: usize = 2;

/// A directory of caches; its tags are the names.
///
/// A directory that does not exist has no caches and no blobs, and none of the calls creates it.
#[derive(Debug)]
pub struct LocalStore {
    config: LocalConfig,
    layout: Layout,
    deletions: Deletions,
}

impl LocalStore {
    /// The store in the directory of `config`; its tag and digest are ignored.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let layout = Layout::new(config.root());
        let deletions = Deletions::new(layout.clone(), config.lock_timeout());
        Self { config, layout, deletions }
    }
}

#[async_trait]
impl CacheStore for LocalStore {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        let (layout, limit) = (self.layout.clone(), self.config.limits().config);
        let (state, caches) = blocking(move || {
            let state = state(&layout)?;
            let found = layout.read_index(limit)?;
            let mut entries: Vec<_> = found.iter().flat_map(|found| found.index.listed()).collect();
            // Those that another one hides come after those without a name.
            entries.sort_by_key(|(name, entry)| (*name, entry.is_named()));
            let entries = entries.into_iter();
            let caches: Vec<CacheEntry> = entries.map(|(name, entry)| cache_entry(&layout, name, entry)).collect();
            Ok((state, caches))
        })
        .await?;
        self.deletions.listed(state);
        Ok(caches)
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    /// The cache is the one that was listed, even if its name points to another one by now.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        let manifest = cache.version.as_str().parse().map_err(|error: InvalidDigest| {
            let message = "the entry of index.json is no valid descriptor";
            at(ErrorKind::InvalidManifest, message, &self.layout.index_path()).with_source(error)
        })?;
        Ok(Box::new(LocalImporter::listed(self.config.clone(), manifest)))
    }

    /// A BuildKit that exported to the directory twice at once, in two forms, leaves an entry for a manifest that is
    /// not there, and its own manifest without an entry.
    async fn unnamed(&self) -> Result<Vec<CacheEntry>> {
        let (layout, limits) = (self.layout.clone(), self.config.limits());
        blocking(move || unnamed(&layout, &limits)).await
    }

    /// A batch of names is read while the files of others are looked up.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let names = stream::try_unfold(None, move |walk: Option<Walk>| async move {
            let layout = self.layout.clone();
            let read = move || {
                let mut walk = walk.map_or_else(|| Walk::new(&layout), Ok)?;
                Ok((walk.names(BATCH)?, walk))
            };
            let (names, walk) = blocking(read).await?;
            Ok((!names.is_empty()).then_some((names, Some(walk))))
        });
        let batches = names.map_ok(|names| start(move || Ok(look_up(&names))).join()).try_buffered(LOOKUPS);
        batches.map_ok(|batch| stream::iter(batch).map(Ok)).try_flatten().boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let (layout, limit) = (self.layout.clone(), self.config.limits().config);
        let opened = blocking(move || match layout.read_index(limit)? {
            Some(_) => Ingest::open(&layout).map(Some),
            None => Ok(None),
        });
        let Some(ingest) = opened.await? else { return Ok(Deleted::Absent) };
        let timeout = self.config.lock_timeout();
        let place = Place { layout: self.layout.clone(), ingest, limit, timeout };
        let (name, state, path) = (cache.name.clone(), cache.version.clone(), self.layout.index_path());
        let change = move |index: &mut Index| {
            if index.remove(name.as_deref(), &state) {
                return Ok(Deleted::Removed);
            }
            let changed = at(ErrorKind::Conflict, "the cache has changed", &path);
            match &name {
                Some(name) => match index.find(name) {
                    Some(moved) => Err(changed.with("tag", name).with("found", moved.state().as_str())),
                    None => Ok(Deleted::Absent),
                },
                // Its name leads to it once the one before it is gone.
                None => match index.named().into_iter().find(|(_, entry)| entry.state() == state) {
                    Some((found, _)) => Err(changed.with("tag", found.unwrap_or_default())),
                    None => Ok(Deleted::Absent),
                },
            }
        };
        place.update(change).await.map(|(deleted, _lock)| deleted)
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        self.deletions.delete(blob).await
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        self.deletions.delete_all(blobs).await
    }

    /// Removes the temporary directories of our dead writers, however young: live writers hold a lock. Directories of
    /// BuildKit have no lock, and stay.
    async fn abort_uploads(&self, _before: Timestamp) -> Result<usize> {
        let layout = self.layout.clone();
        blocking(move || clean(&layout)).await
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

fn look_up(names: &[BlobName]) -> Vec<BlobEntry> {
    names.iter().filter_map(BlobName::look_up).map(|blob| blob_entry(&blob)).collect()
}

fn cache_entry(layout: &Layout, name: Option<&str>, entry: &Entry) -> CacheEntry {
    let descriptor = entry.descriptor().cloned();
    let manifest = descriptor.as_ref().and_then(|descriptor| layout.blob_metadata(&descriptor.digest).ok().flatten());
    let mut cache = CacheEntry::new(name.map(str::to_owned), entry.state());
    cache.modified = manifest.as_ref().and_then(modified);
    cache.descriptor = descriptor;
    cache
}

fn blob_entry(blob: &BlobFile) -> BlobEntry {
    BlobEntry {
        digest: blob.digest,
        size: blob.metadata.len(),
        modified: modified(&blob.metadata),
        version: version(&blob.metadata),
    }
}

#[cfg(test)]
mod tests;
