//! The manifest: commits and their conditions, and what is read back.

use cache_core::manifest::{CacheRecord, ManifestForm};
use cache_core::seams::Committed;
use cache_core::{CacheConfig, CacheImporter, CacheKey, CacheManifest, Descriptor, Digest, Expect, Version};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use futures_util::future::join_all;

use super::{assert_conflict, assert_holds, assert_sound, commit, holds, is_same, resolve, version, write};
use crate::graphs;
use crate::harness::Harness;

/// Looking up a cache leaves no trace, unlike in BuildKit, whose importer creates the directory.
pub async fn resolve_of_nothing_is_none_and_creates_nothing(place: &dyn Harness) {
    let before = place.contents().await;
    assert!(resolve(place).await.is_none());
    assert_eq!(place.contents().await, before);
}

/// The cache that is read has the graph, the blobs and the version of the commit.
pub async fn commit_then_resolve_gives_the_same_cache(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let report = write(place, &cache).await;
    assert_holds(place, &cache).await;
    assert_eq!(report.committed.version, Some(version(place).await));
    let resolved = resolve(place).await.expect("just written");
    for blob in cache.manifest.blobs() {
        let found = resolved.manifest.descriptor(&blob.digest).expect("every blob is described");
        assert_eq!((found.size, found.diff_id(), &found.media_type), (blob.size, blob.diff_id(), &blob.media_type));
    }
}

/// A manifest that was read is written back with the same bytes, in every form.
pub async fn a_manifest_with_a_form_keeps_its_bytes(place: &dyn Harness) {
    if !place.keeps_form() {
        return;
    }
    for form in FORMS {
        let cache = graphs::cache(1);
        let source = MemoryCache::new().with_form(form);
        export(&cache.manifest, &cache.blobs, &source, &ExportSettings::default()).await.unwrap();
        let kept = source.resolve().await.unwrap().expect("just written").manifest;
        let committed = export(&kept, &source, &*place.exporter().await, &ExportSettings::default()).await.unwrap();
        let found = resolve(place).await.expect("just written").manifest;
        assert_eq!(found.raw_manifest(), kept.raw_manifest(), "{form:?}");
        assert_eq!(found.raw_config(), kept.raw_config(), "{form:?}");
        let descriptor = committed.committed.descriptor.expect("a form has a descriptor");
        assert_eq!(Some(descriptor.digest), kept.raw_manifest().map(|document| document.descriptor.digest));
    }
}

/// `image-manifest` and `oci-mediatypes` choose the form, and every form contains the same cache.
pub async fn each_form_can_be_asked_for(place: &dyn Harness) {
    if !place.keeps_form() {
        return;
    }
    let cache = graphs::cache(1);
    for form in FORMS {
        let exporter = place.exporter_in(form).await;
        export(&cache.manifest, &cache.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
        assert_eq!(resolve(place).await.and_then(|resolved| resolved.manifest.form()), Some(form));
        assert_holds(place, &cache).await;
    }
}

const FORMS: [ManifestForm; 3] = [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList];

/// Without a condition, a commit replaces the cache.
pub async fn commit_replaces(place: &dyn Harness) {
    for seed in 1..4 {
        let cache = graphs::cache(seed);
        write(place, &cache).await;
        assert_holds(place, &cache).await;
    }
}

/// Two names in one store are two caches, even if they share blobs.
pub async fn names_do_not_share_a_cache(place: &dyn Harness) {
    let Some((other, exporter)) = place.other().await else { return };
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    write(place, &first).await;
    assert!(other.resolve().await.unwrap().is_none());
    export(&second.manifest, &second.blobs, &*exporter, &ExportSettings::default()).await.unwrap();
    assert_holds(place, &first).await;
    let resolved = other.resolve().await.unwrap().expect("just written");
    assert!(is_same(&resolved.manifest, &second.manifest));
    assert_sound(&resolved.manifest, &*other).await;
}

/// `Expect::Absent` writes the first cache and no other.
pub async fn commit_absent_conflicts_when_something_is_there(place: &dyn Harness) {
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    commit(place, &first, Expect::Absent).await.unwrap();
    assert_conflict(commit(place, &second, Expect::Absent).await);
    assert!(holds(place, &first).await);
}

/// A commit on an old version is refused and changes nothing; one on the current version succeeds.
pub async fn commit_version_conflicts_after_another_commit(place: &dyn Harness) {
    let [first, second, third] = [1, 2, 3].map(graphs::cache);
    write(place, &first).await;
    let seen = version(place).await;
    write(place, &second).await;
    assert_conflict(commit(place, &third, Expect::Version(seen)).await);
    assert_holds(place, &second).await;
    commit(place, &third, Expect::Version(version(place).await)).await.unwrap();
    assert!(holds(place, &third).await);
}

/// A commit on a version is refused if there is no cache.
pub async fn commit_version_conflicts_when_nothing_is_there(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let elsewhere = Version::new(Digest::sha256(b"elsewhere").to_string());
    assert_conflict(commit(place, &cache, Expect::Version(elsewhere)).await);
    assert!(resolve(place).await.is_none());
}

/// Of several writers that expect no cache, exactly one succeeds.
pub async fn one_of_many_conditional_commits_wins(place: &dyn Harness) {
    let caches: Vec<_> = (0..8).map(graphs::cache).collect();
    let commits = join_all(caches.iter().map(|cache| commit(place, cache, Expect::Absent))).await;
    let mut winners = Vec::new();
    for (cache, outcome) in caches.iter().zip(commits) {
        match outcome {
            Ok(_) => winners.push(cache),
            lost => assert_conflict(lost),
        }
    }
    assert_eq!(winners.len(), 1);
    assert!(holds(place, winners[0]).await, "the place holds the cache of a loser");
}

/// A cache without layers is not written, as in BuildKit: the existing cache stays.
pub async fn an_empty_cache_is_skipped(place: &dyn Harness) {
    if !place.keeps_form() {
        return;
    }
    let key = CacheKey::content(Digest::sha256(b"source"));
    let records = vec![CacheRecord { key, ..CacheRecord::default() }];
    let empty = CacheManifest::new(CacheConfig { layers: Vec::new(), records }, Vec::<Descriptor>::new());
    let exporter = place.exporter().await;
    assert_eq!(exporter.commit(&empty, Expect::Any).await.unwrap(), Committed::default());
    assert!(resolve(place).await.is_none());
    let old = graphs::cache(1);
    write(place, &old).await;
    assert_eq!(exporter.commit(&empty, Expect::Any).await.unwrap(), Committed::default());
    assert_holds(place, &old).await;
}
