//! What a store holds, and how much of it no cache reaches.

use cache_core::seams::{CacheEntry, UnreadableCache};
use cache_core::{CacheStore, Error};
use cache_ops::Reach;
use futures_util::stream::TryStreamExt as _;

use super::report::{QuotaUsage, StoreUsage, Unreadable};
use crate::exit::{Failure, with_causes};
use crate::session::Session;
use crate::spec::Place;

/// Weighs every store that one of the places is in, each once; kinds of places without a store are passed over.
pub(crate) async fn usages(session: &Session, places: Vec<Place>) -> Result<Vec<StoreUsage>, Failure> {
    let mut seen = Vec::new();
    let mut usages = Vec::new();
    for mut place in places {
        let key = place.store_key();
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        // The cache itself could be opened: what is missing here is only needed for its neighbours.
        let store = match place.store(session).await {
            Ok(Some(store)) => store,
            Ok(None) => continue,
            Err(failure) => {
                let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                session.warn(format!("the store is not weighed: {}{hint}", failure.message));
                continue;
            }
        };
        // What no cache reaches is not known without a list of blobs, and neither is what the store holds.
        if let Some(collection) = store.own_collection() {
            session
                .reporter
                .note(&format!("{} cannot list its blobs, and is not weighed: {collection}", place.store_spec()));
            continue;
        }
        let usage = usage(place.store_spec().to_string(), &*store).await;
        usages.push(usage.map_err(|error| place.explain(error))?);
    }
    Ok(usages)
}

async fn usage(name: String, store: &dyn CacheStore) -> Result<StoreUsage, Error> {
    let listing = store.list().await?;
    let caches = listing.caches;
    let mut reached = Reach::default();
    let nameless =
        |cache: UnreadableCache| Unreadable { name: Some(cache.name), digest: None, error: with_causes(&cache.error) };
    let mut unreadable: Vec<Unreadable> = listing.unreadable.into_iter().map(nameless).collect();
    for cache in caches.iter().chain(&store.contributions().await?) {
        match Reach::of_entry(store, cache).await {
            Ok(reach) => reached.extend(&reach),
            Err(error) => unreadable.push(unreadable_cache(cache, &error)),
        }
    }
    let quota = store.quota().await?.map(|quota| QuotaUsage { used_bytes: quota.used, limit_bytes: quota.limit });
    let mut usage = StoreUsage { store: name, caches: caches.len(), unreadable, quota, ..StoreUsage::default() };
    let (mut blobs, mut bytes) = (0, 0);
    let mut entries = store.blobs();
    while let Some(entry) = entries.try_next().await? {
        usage.blobs += 1;
        usage.bytes = usage.bytes.saturating_add(entry.size);
        if !reached.contains(&entry.digest) {
            blobs += 1;
            bytes = entry.size.saturating_add(bytes);
        }
    }
    if usage.unreadable.is_empty() {
        usage.unreachable_blobs = Some(blobs);
        usage.unreachable_bytes = Some(bytes);
    }
    Ok(usage)
}

fn unreadable_cache(cache: &CacheEntry, error: &Error) -> Unreadable {
    let digest = cache.descriptor.as_ref().map(|manifest| manifest.digest);
    Unreadable { name: cache.name.clone(), digest, error: with_causes(error) }
}
