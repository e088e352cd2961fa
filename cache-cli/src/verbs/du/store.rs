//! The size of a store, and of what no cache in it reaches.

use cache_core::{CacheStore, Error};
use cache_ops::{UnreadableEntry, weigh};

use super::report::{QuotaUsage, StoreUsage, Unreadable};
use crate::exit::{Failure, with_causes};
use crate::progress::Looking;
use crate::session::Session;
use crate::spec::Place;

/// Measures the store of each place, each store once. Places without a store are skipped.
pub(crate) async fn usages(session: &Session, places: Vec<Place>) -> Result<Vec<StoreUsage>, Failure> {
    let mut seen = Vec::new();
    let mut usages = Vec::new();
    for mut place in places {
        let key = place.store_key();
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        // The cache itself could be opened. A store that cannot be is only a warning.
        let store = match place.store(session).await {
            Ok(Some(store)) => store,
            Ok(None) => continue,
            Err(failure) => {
                let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                session.warn(format!("the store is not weighed: {}{hint}", failure.message));
                continue;
            }
        };
        // Without a list of blobs, the size of the store is unknown.
        if let Some(collection) = store.own_collection() {
            session
                .reporter
                .note(&format!("{} cannot list its blobs, and is not weighed: {collection}", place.store_spec()));
            continue;
        }
        let usage = usage(session, place.store_spec().to_string(), &*store).await;
        usages.push(usage.map_err(|error| place.explain(error))?);
    }
    Ok(usages)
}

async fn usage(session: &Session, name: String, store: &dyn CacheStore) -> Result<StoreUsage, Error> {
    let looking = Looking::new(&session.reporter);
    let weight = weigh(store, &|event| looking.tell(event)).await?;
    let quota = weight.quota.map(|quota| QuotaUsage { used_bytes: quota.used, limit_bytes: quota.limit });
    Ok(StoreUsage {
        store: name,
        caches: weight.caches,
        blobs: weight.blobs,
        bytes: weight.bytes,
        unreachable_blobs: weight.unreachable_blobs,
        unreachable_bytes: weight.unreachable_bytes,
        unreadable: weight.unreadable.into_iter().map(unreadable).collect(),
        quota,
    })
}

fn unreadable(entry: UnreadableEntry) -> Unreadable {
    Unreadable { name: entry.name, digest: entry.manifest, error: with_causes(&entry.error) }
}
