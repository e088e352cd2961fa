//! Several caches, caches that cannot be used, and caches that are only searched.

use cache_core::manifest::{CacheRecord, RecordLink};
use cache_core::{CacheConfig, CacheManifest};
use cache_ops::{Cause, ConsultedCache, Content, NotImported, Note, explain};

use super::{Rebuild, imported};

fn causes(found: &cache_ops::Explanation) -> Vec<&'static str> {
    found.causes.iter().map(|group| group.cause.as_str()).collect()
}

/// A cache that was not imported has the results that the imported one lacks.
#[tokio::test]
async fn a_cache_that_was_not_imported_and_has_the_result_is_named() {
    let rebuild = Rebuild("source-file-changed");
    let (old, new, log) = (rebuild.cache("old").await, rebuild.cache("new").await, rebuild.log());
    let other = ConsultedCache::elsewhere("main of a store", Content::Cache(&new));
    let found = explain(&[imported(&old), other], Some(&new), Some(&log)).unwrap();
    assert_eq!(causes(&found), ["in-another-place"]);
    assert_eq!(found.causes[0].followers.len(), 4);
    let miss = found.steps.iter().find_map(|step| step.miss.as_ref()).unwrap();
    assert_eq!(miss.elsewhere, ["main of a store"]);
    assert_eq!(miss.also.iter().map(Cause::as_str).collect::<Vec<_>>(), ["files-changed"]);
}

/// Two caches are named as imported, but the log has only one import.
#[tokio::test]
async fn a_cache_beyond_the_imports_of_the_log_counts_as_another_place() {
    let rebuild = Rebuild("source-file-changed");
    let (old, new, log) = (rebuild.cache("old").await, rebuild.cache("new").await, rebuild.log());
    let second = ConsultedCache::imported("second", Content::Cache(&new));
    let found = explain(&[imported(&old), second], Some(&new), Some(&log)).unwrap();
    assert_eq!(causes(&found), ["in-another-place"]);
    assert!(!found.causes[0].is_certain, "the log does not say which caches were imported");
    assert!(found.notes.contains(&Note::ImportedIsExported("second".to_owned())));
}

#[tokio::test]
async fn an_absent_or_broken_cache_is_the_cause_of_everything() {
    let rebuild = Rebuild("no-cache");
    let (new, log) = (rebuild.cache("new").await, rebuild.log());
    for (content, why) in [
        (Content::Absent, NotImported::Absent),
        (Content::Unreadable("cut short".to_owned()), NotImported::Unreadable("cut short".to_owned())),
    ] {
        let found = explain(&[ConsultedCache::imported("old", content)], Some(&new), Some(&log)).unwrap();
        assert_eq!(found.causes.len(), 1);
        assert_eq!(found.causes[0].cause, Cause::NotImported { cache: "old".to_owned(), why });
        assert_eq!(found.causes[0].followers.len(), 11);
    }
}

/// With several leaves BuildKit loses hits, which explains a step that ran although its result is stored.
#[tokio::test]
async fn several_leaves_are_the_likely_cause_of_a_lone_miss() {
    let rebuild = Rebuild("no-cache-filter");
    let (old, new, mut log) = (rebuild.cache("old").await, rebuild.cache("new").await, rebuild.log());
    // As if the steps were in a stage whose other steps hit, so that they were not looked up.
    for vertex in &mut log.vertices {
        vertex.name = vertex.name.replace("[build 1/2]", "[deps 4/5]").replace("[build 2/2]", "[deps 5/5]");
    }
    let of = |old: &CacheManifest| {
        let found = explain(&[imported(old)], Some(&new), Some(&log)).unwrap();
        let place =
            found.causes.iter().position(|group| found.steps[group.first].name.starts_with("[deps 4/5]")).unwrap();
        (found.causes[place].cause.clone(), found.causes[place].is_certain)
    };
    assert!(matches!(of(&old), (Cause::ShouldHaveHit { records }, true) if records.len() == 1));
    let (cause, is_certain) = of(&with_leaf(&old));
    assert!(matches!(cause, Cause::NotImported { why: NotImported::SeveralLeaves(2), .. }), "{cause:?}");
    assert!(!is_certain);
}

/// Each cache has a part of the build, and BuildKit v0.32 used one and lost the other.
#[tokio::test]
async fn caches_imported_side_by_side_are_the_cause() {
    let rebuild = Rebuild("side-by-side");
    let (one, other, new) = (rebuild.cache("old1").await, rebuild.cache("old2").await, rebuild.cache("new").await);
    let caches =
        [("one", &one), ("other", &other)].map(|(name, cache)| ConsultedCache::imported(name, Content::Cache(cache)));
    let found = explain(&caches, Some(&new), Some(&rebuild.log())).unwrap();
    let lost = found.causes.iter().find(|group| found.steps[group.first].name.starts_with("[build 1/2]")).unwrap();
    assert!(matches!(&lost.cause, Cause::NotImported { why: NotImported::SideBySide(2), .. }), "{lost:?}");
    assert!(!lost.is_certain);
}

/// A failed import is not a failure of the build.
#[tokio::test]
async fn an_import_that_failed_did_not_fail_the_build() {
    let rebuild = Rebuild("no-cache");
    let (old, new) = (rebuild.cache("old").await, rebuild.cache("new").await);
    let log = std::fs::read_to_string(rebuild.path().join("new.rawjson")).unwrap();
    let import = format!(
        r#"{{"vertexes":[{{"digest":"{}","name":"[app] importing cache manifest from x","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","error":"too large"}}]}}"#,
        cache_core::Digest::sha256(b"import")
    );
    let log = log.lines().filter(|line| !line.contains("importing cache")).chain([import.as_str()]);
    let log = log.collect::<Vec<_>>().join("\n");
    let log = cache_ops::BuildLog::read(log.as_bytes(), &cache_ops::LogLimits::default()).unwrap();
    let found = explain(&[imported(&old)], Some(&new), Some(&log)).unwrap();
    assert!(
        matches!(&found.causes[0].cause, Cause::NotImported { why: NotImported::Failed(why), .. } if why == "too large")
    );
    assert!(!found.notes.iter().any(|note| matches!(note, Note::BuildFailed(_))), "{:?}", found.notes);
}

/// BuildKit imports no config over 1 MiB.
#[tokio::test]
async fn a_config_over_the_limit_is_the_cause() {
    let rebuild = Rebuild("no-cache");
    let (old, new, log) = (rebuild.cache("old").await, rebuild.cache("new").await, rebuild.log());
    let mut config = old.config().clone();
    let root = |n: u32| CacheRecord { key: format!("padding {n:0>64}").as_str().into(), ..CacheRecord::default() };
    config.records.extend((0..15_000).map(root));
    let large = CacheManifest::new(config, old.blobs().iter().cloned());
    let encoded = large.encode(None);
    let store = cache_memory::MemoryCache::new();
    let _ = (store.insert(encoded.config.bytes), store.insert(encoded.manifest.bytes.clone()));
    let large =
        cache_core::load(encoded.manifest.bytes, &store, &cache_core::model::Limits::default()).await.unwrap().unwrap();
    let found = explain(&[imported(&large)], Some(&new), Some(&log)).unwrap();
    assert_eq!(causes(&found), ["cannot-be-imported"]);
    assert!(
        matches!(&found.causes[0].cause, Cause::NotImported { why: NotImported::TooLarge(size), .. } if *size > 1 << 20)
    );
}

fn with_leaf(cache: &CacheManifest) -> CacheManifest {
    let mut config: CacheConfig = cache.config().clone();
    let links: Vec<i64> =
        config.records.iter().flat_map(|record| &record.inputs).flatten().map(|link| link.link).collect();
    let shared = links.iter().copied().max_by_key(|link| links.iter().filter(|other| *other == link).count()).unwrap();
    let link = RecordLink { selector: String::new(), link: shared };
    let key = cache_core::Digest::sha256(b"a leaf").into();
    config.records.push(CacheRecord { key, inputs: vec![vec![link]], ..CacheRecord::default() });
    let joined = CacheManifest::new(config, cache.blobs().iter().cloned()).encode_flat().unwrap();
    // As BuildKit writes it: without the last record, which joins the leaves.
    let mut document: serde_json::Value = serde_json::from_slice(&joined).unwrap();
    document["records"].as_array_mut().unwrap().pop();
    CacheManifest::decode_flat(serde_json::to_vec(&document).unwrap()).unwrap()
}
