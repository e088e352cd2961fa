//! `du`: the sizes of caches, alone and together, and what no cache in their stores reaches.

pub(super) mod report;
mod store;

use std::collections::HashMap;

use cache_core::{CacheManifest, Descriptor, Digest};
use cache_ops::Reach;

pub(crate) use self::report::StoreUsage;
use self::report::{CacheUsage, LayerUsage, Usage};
pub(crate) use self::store::usages;
use crate::args::DuArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::report::digest_of;
use crate::session::Session;
use crate::spec::Place;

/// Layers that are listed, unless all are asked for.
const BIGGEST: usize = 10;

/// Measures the named caches and their stores.
pub(super) async fn run(session: &Session, args: &DuArgs) -> Result<Exit, Failure> {
    let places: Vec<Place> = args.specs.iter().map(|spec| Place::parse(session, spec)).collect::<Result<_, _>>()?;
    let usage = weigh(session, places).await?;
    output::print(session, &usage)?;
    Ok(Exit::Done)
}

/// A cache that is measured.
struct Weighed {
    cache: String,
    digest: Option<Digest>,
    manifest: CacheManifest,
    reach: Reach,
}

async fn weigh(session: &Session, mut places: Vec<Place>) -> Result<Usage, Failure> {
    let mut caches = Vec::with_capacity(places.len());
    for place in &mut places {
        let (importer, resolved) = match place.resolve(session).await {
            // The spec names no cache, and the default one does not exist: only the store is measured.
            Err(failure) if failure.exit == Exit::NoCache && place.is_store_of_caches(session).await => continue,
            resolved => resolved?,
        };
        let reach = Reach::of_manifest(&resolved.manifest, &*importer).await;
        caches.push(Weighed {
            cache: place.spec.to_string(),
            digest: digest_of(&resolved.manifest),
            reach: reach.map_err(|error| place.explain(error))?,
            manifest: resolved.manifest,
        });
    }
    let limit = if session.globals.is_verbose() { usize::MAX } else { BIGGEST };
    let mut usage = compare(&caches, limit);
    usage.stores = usages(session, places).await?;
    Ok(usage)
}

/// Counts which blobs are shared, by digest.
fn compare(caches: &[Weighed], limit: usize) -> Usage {
    let mut uses: HashMap<Digest, usize> = HashMap::new();
    let mut union = Reach::default();
    for cache in caches {
        cache.reach.iter().for_each(|(blob, _)| *uses.entry(*blob).or_default() += 1);
        union.extend(&cache.reach);
    }
    let shared = |reach: &Reach| {
        let shared = reach.iter().filter(|(blob, _)| uses.get(blob).is_some_and(|uses| *uses > 1));
        shared.fold(0, |sum: u64, (_, size)| sum.saturating_add(size))
    };
    let usage = |cache: &Weighed| CacheUsage {
        cache: cache.cache.clone(),
        digest: cache.digest,
        blobs: cache.reach.iter().count(),
        bytes: cache.reach.bytes(),
        shared_bytes: shared(&cache.reach),
    };
    let reports = caches.iter().map(usage).collect();
    Usage::new(reports, union.bytes(), shared(&union), biggest(caches, &uses, limit))
}

/// The layers of all caches, each blob once, the biggest first.
fn biggest(caches: &[Weighed], uses: &HashMap<Digest, usize>, limit: usize) -> Vec<LayerUsage> {
    let mut by_digest: HashMap<Digest, &Descriptor> = HashMap::new();
    for blob in caches.iter().flat_map(|cache| cache.manifest.blobs()) {
        by_digest.insert(blob.digest, blob);
    }
    let mut layers: Vec<&Descriptor> = by_digest.into_values().collect();
    layers.sort_unstable_by(|a, b| b.size.cmp(&a.size).then_with(|| a.digest.cmp(&b.digest)));
    let usage = |layer: &Descriptor| LayerUsage {
        blob: layer.digest,
        media_type: layer.media_type.clone(),
        size: layer.size,
        caches: uses.get(&layer.digest).copied().unwrap_or(1),
    };
    layers.into_iter().take(limit).map(usage).collect()
}

#[cfg(test)]
mod tests {
    use cache_core::CacheStore as _;
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::{LAYERS, insert, session};

    async fn usage(store: &MemoryCache, specs: &[&str]) -> Usage {
        let session = session(store);
        let places = specs.iter().map(|spec| Place::parse(&session, spec).unwrap()).collect();
        weigh(&session, places).await.unwrap()
    }

    /// The bytes of a cache's manifest and config.
    async fn documents(store: &MemoryCache, name: &str) -> u64 {
        let session = session(store);
        let mut place = Place::parse(&session, &format!("type=memory,name={name}")).unwrap();
        let manifest = place.resolve(&session).await.unwrap().1.manifest;
        let documents = [manifest.raw_manifest().unwrap(), manifest.raw_config().unwrap()];
        documents.iter().map(|document| document.descriptor.size).sum()
    }

    #[tokio::test]
    async fn shared_blobs_count_once_in_the_union() {
        let store = MemoryCache::new();
        insert(&store, "a", &["a", "bb", "cccc"]).await;
        insert(&store, "b", &["a", "bb", "dddddddd"]).await;
        let usage = usage(&store, &["type=memory,name=a", "type=memory,name=b"]).await;
        let documents = [documents(&store, "a").await, documents(&store, "b").await];
        assert_eq!(
            usage.caches.iter().map(|cache| cache.bytes).collect::<Vec<_>>(),
            [documents[0] + 7, documents[1] + 11]
        );
        assert_eq!(usage.caches[0].shared_bytes, 3);
        assert_eq!((usage.unique_bytes, usage.shared_bytes), (documents.iter().sum::<u64>() + 15, 3));
    }

    #[tokio::test]
    async fn one_cache_named_twice_is_shared_whole() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        let usage = usage(&store, &["type=memory,name=a", "type=memory,name=a"]).await;
        assert_eq!(usage.shared_bytes, usage.unique_bytes);
        assert_eq!(usage.stores.len(), 1);
    }

    #[tokio::test]
    async fn what_no_cache_of_the_store_reaches_is_unreachable() {
        let store = MemoryCache::new();
        insert(&store, "a", &["a"]).await;
        insert(&store, "b", &["bb"]).await;
        let _ = store.insert("garbage");
        let usage = usage(&store, &["type=memory,name=a"]).await;
        let found = &usage.stores[0];
        assert_eq!((found.unreachable_blobs, found.unreachable_bytes), (Some(1), Some(7)));
        assert_eq!(found.caches, 2);
    }

    #[tokio::test]
    async fn nothing_is_called_unreachable_while_a_cache_cannot_be_read() {
        let store = MemoryCache::new();
        insert(&store, "a", &["a"]).await;
        insert(&store, "b", &["bb"]).await;
        let manifest = store.caches().await.unwrap().pop().unwrap().descriptor.unwrap();
        store.overwrite(manifest.digest, "{");
        let usage = usage(&store, &["type=memory,name=a"]).await;
        assert_eq!(usage.stores[0].unreachable_bytes, None);
        assert_eq!(usage.stores[0].unreadable[0].name.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn the_biggest_layers_come_first() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        let sizes: Vec<u64> =
            usage(&store, &["type=memory,name=a"]).await.biggest_layers.iter().map(|layer| layer.size).collect();
        assert_eq!(sizes, [8, 4, 2, 1]);
    }
}
