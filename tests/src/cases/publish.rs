//! Publishing: several writers to one place, and nobody loses anything.

use cache_core::{CacheChains, CacheKey};
use cache_ops::{ExportSettings, publish};
use futures_util::future::join_all;

use super::{assert_holds, assert_sound, resolve, write};
use crate::faulty::{Fault, Faulty};
use crate::graphs::{self, Generated};
use crate::harness::Harness;

/// The first publisher writes its cache as it is.
pub async fn publishing_to_nothing_writes_the_cache(place: &dyn Harness) {
    let cache = graphs::cache(1);
    add(place, &cache).await;
    assert_holds(place, &cache).await;
}

/// What was there stays, and what is published comes to it.
pub async fn publishing_adds_to_what_is_there(place: &dyn Harness) {
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    write(place, &old).await;
    add(place, &new).await;
    assert_has_all(place, &[old, new]).await;
}

/// However publishers cut in on one another, every record and result of each of them is there at the end.
pub async fn publish_loses_nothing(place: &dyn Harness) {
    let caches: Vec<_> = (0..8).map(graphs::cache).collect();
    join_all(caches.iter().map(|cache| add(place, cache))).await;
    assert_has_all(place, &caches).await;
}

async fn add(place: &dyn Harness, cache: &Generated) {
    let slow = Faulty::new(&cache.blobs).with_everywhere(Fault::Trickle(100));
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    publish(&cache.chains, &slow, (&*importer, &*exporter), &ExportSettings::default()).await.unwrap();
}

/// Checks that the place holds the results of every cache, and all of their blobs.
async fn assert_has_all(place: &dyn Harness, caches: &[Generated]) {
    let manifest = resolve(place).await.expect("something was published").manifest;
    assert_sound(&manifest, &*place.importer().await).await;
    let found = results(&CacheChains::from_manifest(&manifest).unwrap());
    for cache in caches {
        for result in results(&cache.chains) {
            assert!(found.contains(&result), "{} is lost", result.0);
        }
    }
}

/// Each record's key with the digests of the layers it leads to.
fn results(chains: &CacheChains) -> Vec<(CacheKey, Vec<cache_core::Digest>)> {
    let layers = |record| chains.hit(record).map(|hit| hit.layers.iter().map(|layer| layer.digest).collect());
    chains.records().map(|record| (chains.key(record).clone(), layers(record).unwrap_or_default())).collect()
}
