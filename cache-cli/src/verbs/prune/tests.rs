//! `prune` on a store in memory.

use std::time::Duration;

use cache_core::seams::BlobEntry;
use cache_core::{CacheStore as _, Digest};
use cache_memory::MemoryCache;
use futures_util::stream::TryStreamExt as _;
use tempfile::TempDir;

use super::*;
use crate::output::Report as _;
use crate::tests::{LAYERS, insert, session};

fn args() -> PruneArgs {
    PruneArgs { spec: "type=memory,name=a".to_owned(), force: true, ..PruneArgs::default() }
}

async fn names(store: &MemoryCache) -> Vec<String> {
    store.caches().await.unwrap().into_iter().filter_map(|cache| cache.name).collect()
}

async fn blobs(store: &MemoryCache) -> Vec<Digest> {
    store.blobs().map_ok(|blob: BlobEntry| blob.digest).try_collect().await.unwrap()
}

/// Three caches, the first one the oldest, and a day-old blob that no cache reaches.
async fn store() -> (MemoryCache, Digest) {
    let store = MemoryCache::new();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        insert(&store, name, &LAYERS[..=n]).await;
    }
    let garbage = store.insert("garbage");
    let yesterday = Timestamp::now().saturating_sub(Duration::from_secs(86_400));
    for blob in blobs(&store).await {
        store.set_modified(&blob, yesterday);
    }
    (store, garbage)
}

#[tokio::test]
async fn without_a_policy_only_unreachable_blobs_go() {
    let (store, garbage) = store().await;
    let before = blobs(&store).await.len();
    run(&session(&store), &args()).await.unwrap();
    assert_eq!(names(&store).await, ["a", "b", "c"]);
    let after = blobs(&store).await;
    assert!(after.len() == before - 1 && !after.contains(&garbage));
}

#[tokio::test]
async fn flags_choose_the_caches() {
    let cases = [
        (PruneArgs { keep_latest: Some(1), ..args() }, vec!["c"]),
        (PruneArgs { keep_latest: Some(1), keep: vec!["a*".to_owned()], ..args() }, vec!["a", "c"]),
        (PruneArgs { older_than: Some(Duration::from_secs(60)), keep: vec!["b".to_owned()], ..args() }, vec!["b"]),
        (PruneArgs { max_used_space: Some(0), keep_latest: Some(2), ..args() }, vec!["b", "c"]),
        (PruneArgs { max_used_space: Some(u64::MAX), ..args() }, vec!["a", "b", "c"]),
    ];
    for (args, left) in cases {
        let (store, _) = store().await;
        run(&session(&store), &args).await.unwrap();
        assert_eq!(names(&store).await, left, "{args:?}");
    }
}

#[tokio::test]
async fn a_dry_run_deletes_nothing_and_a_plan_can_be_carried_out_later() {
    let (store, _) = store().await;
    let session = session(&store);
    run(&session, &PruneArgs { dry_run: true, force: false, keep_latest: Some(1), ..args() }).await.unwrap();
    assert_eq!(names(&store).await.len(), 3);

    let policy = PrunePolicy::new(Duration::from_secs(3600)).with_keep_latest(1);
    let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("plan.json");
    std::fs::write(&path, output::json(&PlanFile::new("type=memory".to_owned(), plan)).unwrap()).unwrap();
    insert(&store, "a", LAYERS).await;
    run(&session, &PruneArgs { apply: Some(path.clone()), ..args() }).await.unwrap();
    assert_eq!(names(&store).await, ["a", "c"], "what was written since stays");

    std::fs::write(&path, output::json(&PlanFile::new("type=local,src=x".to_owned(), empty(&store).await)).unwrap())
        .unwrap();
    let failure = run(&session, &PruneArgs { apply: Some(path.clone()), ..args() }).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(run(&session, &PruneArgs { apply: Some(path), ..args() }).await.unwrap_err().exit, Exit::Usage);
}

#[test]
fn a_plan_says_which_caches_may_stay() {
    let table = |may_stay_with: Option<&str>| {
        let cache = serde_json::json!({
            "name": "release", "version": "v", "digest": null, "modified": null, "bytes": 7, "reason": "not-latest",
            "mayStayWith": may_stay_with,
        });
        let plan = serde_json::json!({
            "madeAt": "2026-11-23T00:00:00Z", "graceSeconds": 3600, "caches": [cache], "blobs": null, "keptCaches": 1,
            "keptBytes": 7, "bytesOver": 0, "youngBlobs": 0,
        });
        let plan = serde_json::from_value(plan).unwrap();
        PlanFile::new("type=registry,ref=h/a".to_owned(), plan).table(Timestamp::now(), false)
    };
    let told = table(Some("main"));
    assert!(told.contains("--keep-latest, may stay with main\n") && told.contains("may stay: some"), "{told}");
    assert!(!table(None).contains("may stay"), "{}", table(None));
}

async fn empty(store: &MemoryCache) -> PrunePlan {
    plan_prune(store, &PrunePolicy::new(Duration::from_secs(3600)), Timestamp::now(), &PruneSettings::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn young_blobs_stay_for_as_long_as_is_asked_for() {
    let (store, garbage) = store().await;
    run(&session(&store), &PruneArgs { grace: Some(Duration::from_secs(200_000)), ..args() }).await.unwrap();
    assert!(blobs(&store).await.contains(&garbage));
}
