//! Publishing: several writers add to one cache at the same time, and none loses records.

use std::time::Duration;

use cache_core::seams::{ContributionName, Contributions};
use cache_core::{CacheChains, CacheKey, ErrorKind, Timestamp};
use cache_ops::{PrunePolicy, PruneSettings, PublishSettings, SizeLimit, plan_prune, prune, publish};
use futures_util::future::join_all;

use super::{assert_holds, assert_sound, resolve, write};
use crate::faulty::{Fault, Faulty};
use crate::graphs::{self, Generated};
use crate::harness::Harness;

/// In seconds.
const HOUR: i64 = 3_600;

/// The first publisher writes its cache as it is.
pub async fn publishing_to_nothing_writes_the_cache(place: &dyn Harness) {
    let cache = graphs::cache(1);
    add(place, &cache).await;
    assert_holds(place, &cache).await;
}

/// What is published is added to the existing cache.
pub async fn publishing_adds_to_the_existing_cache(place: &dyn Harness) {
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    write(place, &old).await;
    add(place, &new).await;
    assert_has_all(place, &[old, new]).await;
}

/// However publishers interleave, the cache has every record and result of each of them at the end.
pub async fn publish_loses_nothing(place: &dyn Harness) {
    // In some places a publisher waits for as long as the commit of another may take. Paused time would jump over that.
    tokio::time::resume();
    let caches: Vec<_> = (0..8).map(graphs::cache).collect();
    join_all(caches.iter().map(|cache| add(place, cache))).await;
    assert_has_all(place, &caches).await;
}

/// Contributions are not listed as caches, and the next publish deletes old ones.
pub async fn contributions_are_no_caches_and_old_ones_are_deleted(place: &dyn Harness) {
    let exporter = place.exporter().await;
    let Some(contributions) = exporter.contributions().await.unwrap() else { return };
    let (old, lost) = (aged(contributions, 2 * HOUR), aged(contributions, 30 * HOUR));
    for (name, seed) in [(&old, 1), (&lost, 2)] {
        leave(place, contributions, name, &graphs::cache(seed)).await;
    }
    add(place, &graphs::cache(3)).await;
    // A contribution that is older than a day is not added.
    assert_has_all(place, &[graphs::cache(1), graphs::cache(3)]).await;
    let left = contributions.list().await.unwrap();
    assert!(left.len() == 1 && !left.contains(&old) && !left.contains(&lost), "{left:?}");
    let Some(store) = place.store().await else { return };
    assert_eq!(store.caches().await.unwrap().len(), 1);
    assert_eq!(store.contributions().await.unwrap().len(), 1);
}

/// The next publish adds contributions that another write has hidden, or that a killed publisher has not added.
pub async fn the_next_publish_adds_what_was_contributed(place: &dyn Harness) {
    let exporter = place.exporter().await;
    let Some(contributions) = exporter.contributions().await.unwrap() else { return };
    let caches: Vec<Generated> = (1..4).map(graphs::cache).collect();
    add(place, &caches[0]).await;
    leave(place, contributions, &aged(contributions, 0), &caches[1]).await;
    write(place, &graphs::cache(9)).await;
    add(place, &caches[2]).await;
    assert_has_all(place, &caches).await;
}

/// Young contributions keep their blobs; old ones are deleted.
pub async fn prune_keeps_what_young_contributions_reach(place: &dyn Harness) {
    let exporter = place.exporter().await;
    let Some(contributions) = exporter.contributions().await.unwrap() else { return };
    let Some(store) = place.store().await else { return };
    let (young, old) = (aged(contributions, 2 * HOUR), aged(contributions, 30 * HOUR));
    leave(place, contributions, &young, &graphs::cache(1)).await;
    leave(place, contributions, &old, &graphs::cache(2)).await;
    let plan = plan_prune(&*store, &PrunePolicy::new(Duration::ZERO), Timestamp::now(), &PruneSettings::default())
        .await
        .unwrap();
    let report = prune(&*store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!(report.caches.iter().map(|cache| cache.name.as_deref()).collect::<Vec<_>>(), [Some(old.as_str())]);
    assert_eq!(contributions.list().await.unwrap(), [young]);
    add(place, &graphs::cache(3)).await;
    assert_has_all(place, &[graphs::cache(1), graphs::cache(3)]).await;
}

/// A union over the limit is an error, and the existing cache stays.
pub async fn a_union_over_the_limit_is_refused(place: &dyn Harness) {
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    add(place, &old).await;
    let before = resolve(place).await.expect("it is published").version;
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    let settings = PublishSettings::default().with_limit(Some(SizeLimit::Refuse(1_000)));
    let refused = publish(&new.chains, &new.blobs, &*importer, &*exporter, &settings).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded, "{refused:?}");
    assert_eq!(resolve(place).await.expect("it is there").version, before);
    let settings = PublishSettings::default().with_limit(Some(SizeLimit::Shrink(3_000)));
    let published = publish(&new.chains, &new.blobs, &*importer, &*exporter, &settings).await.unwrap();
    assert!(published.manifest.encode(None).config.descriptor.size <= 3_000);
}

/// The name of a contribution that is `age` seconds old.
fn aged(contributions: &dyn Contributions, age: i64) -> ContributionName {
    let prefix = ContributionName::prefix(contributions.cache());
    let seconds = Timestamp::now().unix_seconds() - age;
    ContributionName::parse(&format!("{prefix}{seconds:010}-0123456789ab")).expect("it is one")
}

/// Does only what a publisher does before it reads the place.
async fn leave(place: &dyn Harness, contributions: &dyn Contributions, name: &ContributionName, cache: &Generated) {
    let exporter = place.exporter().await;
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    contributions.write(name, &cache.manifest).await.unwrap();
}

async fn add(place: &dyn Harness, cache: &Generated) {
    let slow = Faulty::new(&cache.blobs).with_everywhere(Fault::Trickle(100));
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    publish(&cache.chains, &slow, &*importer, &*exporter, &PublishSettings::default()).await.unwrap();
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

/// The key of each record, with the digests of the layers of its result.
fn results(chains: &CacheChains) -> Vec<(CacheKey, Vec<cache_core::Digest>)> {
    let layers = |record| chains.hit(record).map(|hit| hit.layers.iter().map(|layer| layer.digest).collect());
    chains.records().map(|record| (chains.key(record).clone(), layers(record).unwrap_or_default())).collect()
}
