//! The rules of pruning that need no store of files.

use std::time::Duration;

use cache_core::manifest::Document;
use cache_core::seams::CacheEntry;
use cache_core::{Descriptor, MediaType, Timestamp, Version};
use cache_memory::MemoryCache;

use super::look::Looked;
use super::*;
use crate::{Reach, Reached};

fn time(hour: u32) -> Timestamp {
    format!("2026-11-23T{hour:02}:00:00Z").parse().unwrap()
}

fn blob(content: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
}

/// A cache that was written at this hour, and reaches blobs as large as their texts are long.
fn add(caches: &mut Caches, name: &str, hour: Option<u32>, blobs: &[&str]) {
    let mut reach = Reach::default();
    blobs.iter().for_each(|content| reach.add(&blob(content)));
    let entry = CacheEntry::new(Some(name.to_owned()), Version::new(name));
    let blobs = caches.1.number(&reach);
    caches.0.push(Looked { entry, modified: hour.map(time), blobs, is_cache: true, unreadable: None });
}

type Caches = (Vec<Looked>, Reached);

fn caches() -> Caches {
    let mut caches = Caches::default();
    add(&mut caches, "old", Some(1), &["shared", "a"]);
    add(&mut caches, "mid", Some(5), &["shared", "bb"]);
    add(&mut caches, "new", Some(9), &["shared", "cccc"]);
    caches
}

/// The names that go, with the reasons, and by how much the others are too many bytes.
fn gone(policy: &PrunePolicy, caches: &Caches) -> (Vec<(String, PruneReason)>, u64) {
    let (reasons, over) = policy.choose(&caches.0, &caches.1, time(10));
    let named = caches.0.iter().zip(reasons);
    (named.filter_map(|(cache, reason)| Some((cache.entry.name.clone()?, reason?))).collect(), over)
}

fn names(policy: &PrunePolicy, caches: &Caches) -> Vec<String> {
    gone(policy, caches).0.into_iter().map(|(name, _)| name).collect()
}

fn policy() -> PrunePolicy {
    PrunePolicy::new(Duration::from_secs(3600))
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

#[test]
fn of_two_caches_of_one_age_the_one_with_a_name_counts_as_newer() {
    let mut caches = Caches::default();
    ["a", "b"].iter().for_each(|name| add(&mut caches, name, Some(1), &["x"]));
    caches.0[0].entry.name = None;
    let (reasons, _) = policy().with_keep_latest(1).choose(&caches.0, &caches.1, time(10));
    assert_eq!(reasons, [Some(PruneReason::NotLatest), None]);
}

#[test]
fn no_policy_keeps_every_cache() {
    assert_eq!(gone(&policy(), &caches()), (Vec::new(), 0));
    assert_eq!(names(&policy().with_keep(NameGlob::new("x")), &caches()), [""; 0]);
}

#[test]
fn caches_go_that_were_written_long_ago() {
    assert_eq!(names(&policy().with_older_than(hours(5)), &caches()), ["old", "mid"]);
    assert_eq!(names(&policy().with_older_than(hours(6)), &caches()), ["old"]);
}

#[test]
fn the_newest_stay_and_alone_that_means_that_the_others_go() {
    let reasons = gone(&policy().with_keep_latest(2), &caches()).0;
    assert_eq!(reasons, [("old".to_owned(), PruneReason::NotLatest)]);
    assert_eq!(names(&policy().with_keep_latest(0), &caches()).len(), 3);
    assert_eq!(names(&policy().with_keep_latest(2).with_older_than(hours(1)), &caches()), ["old"]);
    assert_eq!(names(&policy().with_keep_latest(1).with_older_than(hours(8)), &caches()), ["old"]);
}

#[test]
fn names_that_are_kept_stay_whatever_their_age() {
    let kept = policy().with_older_than(hours(1)).with_keep(NameGlob::new("o*"));
    assert_eq!(names(&kept, &caches()), ["mid", "new"]);
}

/// Together they reach 6 + 1 + 2 + 4 bytes.
#[test]
fn the_oldest_go_until_the_rest_fits_and_shared_blobs_count_once() {
    let gone_at = |space| gone(&policy().with_max_used_space(space), &caches());
    assert_eq!(gone_at(13).0, []);
    assert_eq!(gone_at(12), (vec![("old".to_owned(), PruneReason::MaxUsedSpace)], 0));
    assert_eq!(gone_at(11).0.len(), 2);
    assert_eq!(gone_at(0).0.len(), 3);
    let kept = policy().with_max_used_space(5).with_keep_latest(1);
    assert_eq!((names(&kept, &caches()), gone(&kept, &caches()).1), (vec!["old".to_owned(), "mid".to_owned()], 5));
}

#[test]
fn what_has_no_age_counts_as_new_and_what_is_no_cache_stays() {
    let mut caches = caches();
    add(&mut caches, "undated", None, &["d"]);
    add(&mut caches, "image", Some(0), &["e"]);
    caches.0.last_mut().unwrap().is_cache = false;
    assert_eq!(names(&policy().with_older_than(hours(1)), &caches), ["old", "mid", "new"]);
    assert_eq!(names(&policy().with_keep_latest(1), &caches), ["old", "mid", "new"]);
    assert_eq!(names(&policy().with_max_used_space(1), &caches), ["old", "mid", "new", "undated"]);
}

/// An image has a name in the store, but is not a cache.
#[tokio::test]
async fn an_image_without_a_cache_keeps_its_blobs() {
    let store = MemoryCache::new();
    let layer = store.insert("layer");
    let layer = Descriptor::new(MediaType::OCI_LAYER, layer, 5);
    let config = Document::new(MediaType::OCI_CONFIG, r#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let entries = [&config.descriptor, &layer].map(|entry| serde_json::to_string(entry).unwrap());
    let image = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, entries[0], entries[1]);
    let image = Document::new(MediaType::OCI_MANIFEST, image);
    let _ = store.insert(config.bytes);
    cache_core::seams::ImageStore::put_root(&store, &image, cache_core::Expect::Any).await.unwrap();
    let garbage = store.insert("garbage");
    let tomorrow = Timestamp::from(std::time::SystemTime::now() + hours(24));
    let plan = plan_prune(&store, &policy().with_keep_latest(0), tomorrow, &PruneSettings::default()).await.unwrap();
    assert_eq!((plan.caches.len(), plan.kept_caches), (0, 1));
    assert_eq!(plan.blobs.unwrap().iter().map(|blob| blob.digest).collect::<Vec<_>>(), [garbage]);
}

#[tokio::test]
async fn nothing_is_free_while_something_cannot_be_read() {
    let store = MemoryCache::new();
    let broken = Document::new(MediaType::OCI_MANIFEST, "{");
    cache_core::seams::ImageStore::put_root(&store, &broken, cache_core::Expect::Any).await.unwrap();
    let error = plan_prune(&store, &policy(), Timestamp::now(), &PruneSettings::default()).await.unwrap_err();
    assert_eq!((error.context("cache"), error.hint().is_some()), (Some("latest"), true));
}

#[test]
fn patterns_of_no_name_are_unmatched() {
    let patterns = ["main", "relase", "release-*", "["];
    let policy = patterns.map(NameGlob::new).into_iter().fold(policy(), PrunePolicy::with_keep);
    assert_eq!(policy.unmatched(&["main", "release-1"]), ["relase", "["]);
    assert_eq!(policy.unmatched(&[]), patterns);
}

#[tokio::test]
async fn a_plan_is_the_same_after_json() {
    let store = MemoryCache::new();
    let _ = store.insert("garbage");
    let tomorrow = Timestamp::from(std::time::SystemTime::now() + hours(24));
    let plan = plan_prune(&store, &policy(), tomorrow, &PruneSettings::default()).await.unwrap();
    assert_eq!(plan.blobs.as_ref().map(Vec::len), Some(1));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<PrunePlan>(&json).unwrap(), plan);
}
