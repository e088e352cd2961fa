//! Who has the lock, and who only thinks so.

use std::fs;
use std::path::PathBuf;

use super::*;

fn path() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(INDEX_LOCK);
    (dir, path)
}

fn root(path: &std::path::Path) -> Arc<Dir> {
    Arc::new(Dir::open(path.parent().unwrap()).unwrap())
}

async fn acquire_now(path: &std::path::Path) -> Result<IndexLock> {
    IndexLock::acquire(root(path), Duration::ZERO).await
}

#[tokio::test]
async fn the_file_exists_only_while_the_lock_is_held() {
    let (_dir, path) = path();
    let lock = acquire_now(&path).await.unwrap();
    assert!(path.exists() && lock.is_current());
    drop(lock);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_lock_that_is_held_is_an_error_after_the_wait() {
    let (_dir, path) = path();
    let _lock = acquire_now(&path).await.unwrap();
    let error = acquire_now(&path).await.unwrap_err();
    assert_eq!((error.kind(), error.context("path")), (ErrorKind::LimitExceeded, path.to_str()));
}

#[tokio::test]
async fn a_waiter_gets_the_lock_when_it_is_free() {
    let (_dir, path) = path();
    let lock = acquire_now(&path).await.unwrap();
    let waiting = tokio::spawn(IndexLock::acquire(root(&path), Duration::from_secs(60)));
    tokio::task::yield_now().await;
    drop(lock);
    assert!(waiting.await.unwrap().unwrap().is_current());
}

#[tokio::test]
async fn the_lock_file_of_a_dead_process_does_not_block() {
    let (_dir, path) = path();
    fs::write(&path, "").unwrap();
    assert!(acquire_now(&path).await.unwrap().is_current());
}

#[cfg(unix)]
#[tokio::test]
async fn a_lock_whose_file_was_replaced_is_not_current_and_leaves_the_new_file() {
    let (_dir, path) = path();
    let broken = acquire_now(&path).await.unwrap();
    // BuildKit removes the file after it has unlocked it, even if another process has locked it in between.
    fs::remove_file(&path).unwrap();
    assert!(!broken.is_current());
    let lock = acquire_now(&path).await.unwrap();
    assert!(!broken.is_current());
    drop(broken);
    assert!(lock.is_current());
}

#[cfg(unix)]
#[tokio::test]
async fn a_lock_that_is_a_link_or_a_fifo_is_an_error_at_once() {
    let (dir, path) = path();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    let error = acquire_now(&path).await.unwrap_err();
    assert_eq!((error.kind(), error.context("path")), (ErrorKind::Storage, path.to_str()));
    assert!(!dir.path().join("elsewhere").exists());
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(acquire_now(&path).await.unwrap_err().kind(), ErrorKind::Storage);
}

#[tokio::test]
async fn a_lock_that_cannot_be_created_is_an_error_with_its_path() {
    let (dir, path) = path();
    let root = root(&path);
    drop(dir);
    let error = IndexLock::acquire(root, Duration::ZERO).await.unwrap_err();
    assert_eq!((error.kind(), error.context("path")), (ErrorKind::NotFound, path.to_str()));
}
