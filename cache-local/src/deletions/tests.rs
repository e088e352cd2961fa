//! Many blobs, and the lock that they need.

use std::fs;
use std::path::Path;

use cache_core::CacheStore;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::*;
use crate::layout::{INDEX, INDEX_LOCK};
use crate::tests::{blob_path, layer, write};
use crate::{LocalConfig, LocalStore};

async fn blobs(root: &Path) -> Vec<BlobEntry> {
    LocalStore::new(LocalConfig::new(root)).blobs().try_collect().await.unwrap()
}

/// A directory with a cache and so many other blobs, and all that are listed there.
async fn with_blobs(others: usize) -> (TempDir, Vec<BlobEntry>) {
    let dir = tempfile::tempdir().unwrap();
    write(LocalConfig::new(dir.path()), "a").await;
    for n in 0..others {
        fs::write(blob_path(dir.path(), &layer(&n.to_string()).digest), "x").unwrap();
    }
    let found = blobs(dir.path()).await;
    (dir, found)
}

/// The lock as another process has it.
async fn locked(layout: &Layout) -> IndexLock {
    IndexLock::acquire(Arc::new(layout.open_root().unwrap().unwrap()), Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn more_blobs_than_one_lock_is_held_for_are_all_deleted() {
    let (dir, found) = with_blobs(2 * UNDER_ONE_LOCK).await;
    assert!(found.len() > 2 * UNDER_ONE_LOCK);
    let deletions = Deletions::new(Layout::new(dir.path()), Duration::ZERO);
    let (all, again) = tokio::join!(deletions.delete_all(&found), deletions.delete_all(&found));
    let outcomes = |outcomes: Vec<Result<Deleted>>| outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let removed = [outcomes(all), outcomes(again)].concat().iter().filter(|one| **one == Deleted::Removed).count();
    assert_eq!((removed, blobs(dir.path()).await), (found.len(), Vec::new()));
    assert!(!dir.path().join(INDEX_LOCK).exists());
}

#[tokio::test]
async fn a_lock_that_another_process_holds_fails_only_the_blobs_that_are_there() {
    let (dir, found) = with_blobs(0).await;
    fs::remove_file(blob_path(dir.path(), &found[0].digest)).unwrap();
    let layout = Layout::new(dir.path());
    let _held = locked(&layout).await;
    let mut outcomes = Deletions::new(layout, Duration::ZERO).delete_all(&found).await.into_iter();
    assert_eq!(outcomes.next().unwrap().unwrap(), Deleted::Absent);
    assert!(outcomes.all(|outcome| outcome.unwrap_err().kind() == ErrorKind::LimitExceeded));
    assert_eq!(blobs(dir.path()).await.len(), found.len() - 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_process_holds_is_waited_for_once() {
    let (dir, found) = with_blobs(2 * UNDER_ONE_LOCK).await;
    let layout = Layout::new(dir.path());
    let _held = locked(&layout).await;
    let (timeout, start) = (Duration::from_secs(30), tokio::time::Instant::now());
    let outcomes = Deletions::new(layout, timeout).delete_all(&found).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.is_err()));
    assert!(start.elapsed() < 2 * timeout, "{:?}", start.elapsed());
}

#[tokio::test]
async fn nothing_is_deleted_once_the_lock_is_lost() {
    let (dir, found) = with_blobs(0).await;
    let layout = Layout::new(dir.path());
    let root = layout.open_root().unwrap().unwrap();
    let lock = locked(&layout).await;
    fs::remove_file(dir.path().join(INDEX_LOCK)).unwrap();
    let outcomes = delete_under(&lock, &layout, &root, &found);
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap_err().is_retryable()));
    assert_eq!(blobs(dir.path()).await.len(), found.len());
}

#[tokio::test]
async fn nothing_is_deleted_if_the_index_has_changed_since_its_caches_were_listed() {
    let dir = tempfile::tempdir().unwrap();
    write(LocalConfig::new(dir.path()), "a").await;
    let index = dir.path().join(INDEX);
    let whole = fs::read(&index).unwrap();
    let store = LocalStore::new(LocalConfig::new(dir.path()));
    // As BuildKit does in the middle of a write.
    fs::write(&index, "").unwrap();
    assert!(store.caches().await.unwrap().is_empty());
    fs::write(&index, whole).unwrap();
    let found = blobs(dir.path()).await;
    let kinds = |outcomes: Vec<Result<Deleted>>| -> Vec<_> {
        outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind())).collect()
    };
    assert_eq!(kinds(store.delete_blobs(&found).await), vec![Err(ErrorKind::Conflict); found.len()]);
    assert_eq!(store.caches().await.unwrap().len(), 1);
    assert_eq!(kinds(store.delete_blobs(&found).await), vec![Ok(Deleted::Removed); found.len()]);
}

#[tokio::test]
async fn nothing_is_deleted_without_an_index() {
    let (dir, found) = with_blobs(0).await;
    let index = dir.path().join(INDEX);
    for break_it in [|index: &Path| fs::write(index, ""), |index: &Path| fs::remove_file(index)] {
        break_it(&index).unwrap();
        let store = LocalStore::new(LocalConfig::new(dir.path()));
        assert!(store.caches().await.unwrap().is_empty());
        for outcome in store.delete_blobs(&found).await {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidManifest);
        }
    }
    assert_eq!(blobs(dir.path()).await.len(), found.len());
}
