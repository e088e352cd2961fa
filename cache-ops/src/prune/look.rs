//! Reads the caches of a store before it is decided which are deleted.

use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::seams::{CacheEntry, UnreadableCache};
use cache_core::{
    CacheImporter, CacheManifest, CacheStore, Descriptor, Error, ErrorKind, MediaType, Result, Timestamp, load,
};
use cache_kit::Task;
use futures_util::future::FutureExt;
use futures_util::stream::{BoxStream, StreamExt};

use super::{PruneEvent, PruneSettings};
use crate::listed::{is_of_content, read_listed};
use crate::reach::children;
use crate::reached::Numbers;
use crate::reading::{InTurn, Turns, read_each};
use crate::{LookEvent, Reach, Reached};

/// A cache that was looked at.
pub(super) struct Looked {
    pub(super) entry: CacheEntry,
    /// When it was last written, by the store; else when its newest result was made.
    pub(super) modified: Option<Timestamp>,
    /// What it reaches, among all that was looked at.
    pub(super) blobs: Numbers,
    /// Whether it is a readable cache; images and unreadable entries are not deleted.
    pub(super) is_cache: bool,
    /// Why the records of a cache cannot be read.
    pub(super) unreadable: Option<Error>,
}

/// A cache that was read, with all of its blobs.
struct Read {
    entry: CacheEntry,
    modified: Option<Timestamp>,
    reach: Reach,
    is_cache: bool,
    unreadable: Option<Error>,
}

impl Read {
    fn looked(self, reached: &mut Reached) -> Looked {
        let Self { entry, modified, reach, is_cache, unreadable } = self;
        Looked { entry, modified, blobs: reached.number(&reach), is_cache, unreadable }
    }
}

/// Reads caches, several at once, and adds what they reach to `reached`; a cache that was deleted meanwhile is left
/// out.
///
/// # Errors
/// The first cache that cannot be read; none is read after it.
pub(super) async fn look(
    store: &dyn CacheStore,
    caches: Vec<CacheEntry>,
    settings: &PruneSettings,
    reached: &mut Reached,
) -> Result<Vec<Looked>> {
    let (total, mut looked, mut done) = (caches.len(), Vec::new(), 0);
    let mut looks = looks(store, caches);
    while let Some((_, found)) = looks.next().await {
        looked.extend(found?.map(|read| read.looked(reached)));
        done += 1;
        (settings.progress)(&PruneEvent::Look(LookEvent::Read { done, total }));
    }
    Ok(looked)
}

/// As [`look`], but returns unreadable caches beside the others.
pub(super) async fn look_at_each(
    store: &dyn CacheStore,
    caches: Vec<CacheEntry>,
    settings: &PruneSettings,
    reached: &mut Reached,
) -> (Vec<Looked>, Vec<UnreadableCache>) {
    let (total, mut done) = (caches.len(), 0);
    let mut looks = looks(store, caches);
    let (mut looked, mut unreadable) = (Vec::new(), Vec::new());
    while let Some((name, found)) = looks.next().await {
        match found {
            Ok(found) => looked.extend(found.map(|read| read.looked(reached))),
            Err(error) => unreadable.push(UnreadableCache { name, error }),
        }
        done += 1;
        (settings.progress)(&PruneEvent::Look(LookEvent::Read { done, total }));
    }
    (looked, unreadable)
}

/// Each cache by its name, in order.
fn looks(store: &dyn CacheStore, caches: Vec<CacheEntry>) -> BoxStream<'_, (String, Result<Option<Read>>)> {
    let look = move |entry: CacheEntry, turns| {
        async move {
            let found = look_at(store, &entry, turns).await.map_err(|error| unreadable(&entry, error));
            (entry.name.unwrap_or_default(), found)
        }
        .boxed()
    };
    read_each(caches, look)
}

/// Reads a cache in a task of its own. `None` if it was deleted meanwhile.
///
/// If the entry exists but its manifest does not, the store is damaged: the manifest's blobs are unknown, and may be
/// all that is left of the cache. BuildKit leaves a directory so when it exports to it twice at once.
async fn look_at(store: &dyn CacheStore, entry: &CacheEntry, turns: Turns) -> Result<Option<Read>> {
    let importer = store.open(entry).await?;
    if let Some(read) = Task::start(read(entry.clone(), importer, turns)).join().await? {
        return Ok(Some(read));
    }
    let Some(listed) = &entry.descriptor else { return Ok(None) };
    // Where the time of an entry is that of its manifest, a missing one has none.
    let is_it = |found: &CacheEntry| found.name == entry.name && found.version == entry.version;
    if !store.caches().await?.iter().any(is_it) {
        return Ok(None);
    }
    let error = Error::new(ErrorKind::NotFound, "the manifest of this name does not exist");
    Err(error
        .with("manifest", listed.digest)
        .with_hint("repair it first: repair looks for a manifest to point the name to"))
}

/// Reads a cache and what it reaches; `None` if its manifest does not exist.
async fn read(entry: CacheEntry, importer: Box<dyn CacheImporter>, turns: Turns) -> Result<Option<Read>> {
    let (manifest, failure) = match load_entry(&entry, &*importer, &turns).await {
        Ok(manifest) => (manifest, None),
        // What is not a cache has documents all the same, which can be followed from the listed one.
        Err(error) if is_of_content(&error) && entry.descriptor.is_some() => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let (reach, is_of_cache) = match (&entry.descriptor, &manifest) {
        (Some(listed), manifest) => {
            let read = manifest.as_ref().and_then(CacheManifest::raw_manifest);
            let Some(document) = listed_document(listed, read, &*importer).await? else { return Ok(None) };
            let reach = Reach::of_read(&document, &*importer).await?;
            (reach, failure.is_some() && names_cache_config(&document)?)
        }
        (None, Some(manifest)) => (Reach::of_manifest(manifest, &*importer).await?, false),
        (None, None) => return Ok(None),
    };
    let unreadable = failure.filter(|_| is_of_cache);
    let modified = entry.modified.or_else(|| manifest.as_ref().and_then(newest));
    let is_cache = manifest.is_some_and(|manifest| manifest.inline_images().is_empty());
    Ok(Some(Read { entry, modified, reach, is_cache, unreadable }))
}

fn names_cache_config(manifest: &Document) -> Result<bool> {
    Ok(children(&manifest.bytes)?.iter().any(|child| child.media_type == MediaType::CACHE_CONFIG))
}

/// The cache of an entry. How large a config is that the store does not list, only its manifest tells.
async fn load_entry(entry: &CacheEntry, importer: &dyn CacheImporter, turns: &Turns) -> Result<Option<CacheManifest>> {
    let (Some(listed), None) = (&entry.descriptor, entry.size) else {
        turns.take(entry.size).await;
        return Ok(importer.resolve().await?.map(|resolved| resolved.manifest));
    };
    let blobs = InTurn { blobs: importer, turns };
    let Some(document) = read_listed(&blobs, listed).await? else { return Ok(None) };
    match load(document.bytes, &blobs, &Limits::default()).await {
        // The importer may have other limits.
        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
            Ok(importer.resolve().await?.map(|resolved| resolved.manifest))
        }
        loaded => loaded.map_err(|error| error.with("manifest", listed.digest)),
    }
}

/// The listed manifest, which may be the one that was read; `None` if it does not exist.
async fn listed_document(
    listed: &Descriptor,
    read: Option<&Document>,
    importer: &dyn CacheImporter,
) -> Result<Option<Document>> {
    if let Some(read) = read.filter(|read| read.descriptor.digest == listed.digest) {
        return Ok(Some(read.clone()));
    }
    read_listed(importer, listed).await
}

fn newest(manifest: &CacheManifest) -> Option<Timestamp> {
    let results = manifest.config().records.iter().flat_map(|record| {
        let chains = record.chains.iter().map(|chain| chain.created_at);
        record.results.iter().map(|result| result.created_at).chain(chains)
    });
    results.max().filter(|newest| !newest.is_zero())
}

fn unreadable(entry: &CacheEntry, error: Error) -> Error {
    let error = error.with("cache", entry.name.as_deref().unwrap_or("(no name)"));
    error.with_hint("it is unknown which blobs an unreadable cache needs: repair it first, as far as that is possible")
}
