//! Finds a replacement for a named cache that cannot be read: the newest sound cache in the store without a name.

use cache_core::seams::CacheEntry;
use cache_core::{CacheImporter, CacheStore, Error, Resolved};
use cache_ops::Depth;

use crate::exit::Failure;
use crate::named::select;
use crate::session::Session;
use crate::spec::Place;

/// A cache without a name.
pub(super) struct Unnamed {
    pub(super) entry: CacheEntry,
    pub(super) importer: Box<dyn CacheImporter>,
    /// The cache, with the version of the name that will point to it.
    pub(super) resolved: Resolved,
}

/// Whether the store has any.
pub(super) async fn is_there(session: &Session, place: &Place) -> bool {
    let Ok(Some(store)) = place.clone().store(session).await else { return false };
    store.unnamed().await.is_ok_and(|found| !found.is_empty())
}

/// Finds the newest sound one, or else the newest one that can be read.
pub(super) async fn newest(session: &Session, place: &Place, depth: Depth) -> Result<Option<Unnamed>, Failure> {
    let Some(store) = place.clone().store(session).await? else { return Ok(None) };
    let about = |error: Error| Failure::from(place.explain(error));
    let candidates = store.unnamed().await.map_err(about)?;
    if candidates.is_empty() {
        return Ok(None);
    }
    let named = select(&store.caches().await.map_err(about)?, place)?;
    let mut readable = None;
    for entry in candidates {
        let Some(mut found) = open(&*store, entry).await else { continue };
        found.resolved.version = named.version.clone();
        let manifest = &found.resolved.manifest;
        let report = cache_ops::verify(manifest, &*found.importer, depth, session.concurrency()).await;
        if report.map_err(about)?.is_sound() {
            return Ok(Some(found));
        }
        readable.get_or_insert(found);
    }
    Ok(readable)
}

async fn open(store: &dyn CacheStore, entry: CacheEntry) -> Option<Unnamed> {
    let importer = store.open(&entry).await.ok()?;
    let resolved = importer.resolve().await.ok()??;
    Some(Unnamed { entry, importer, resolved })
}
