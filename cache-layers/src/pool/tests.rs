//! The queue of jobs.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn every_job_gives_its_own_result_and_no_more_run_than_there_are_threads() {
    for threads in [1, 3] {
        let pool = CodecPool::new(threads);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..200).map(|n| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            pool.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                n
            })
        });
        let results: Vec<usize> = join_all(jobs.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, (0..200).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= threads);
    }
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_skipped() {
    let pool = CodecPool::new(1);
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let first = pool.run(move || gate.recv().is_ok());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    drop(pool.run(move || counted.fetch_add(1, Ordering::SeqCst)));
    let last = pool.run(|| ());
    release.send(()).unwrap();
    assert!(first.await.unwrap());
    last.await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_reaches_the_waiter_and_the_pool_still_works() {
    let pool = CodecPool::new(1);
    let job = pool.run(|| assert_eq!(1, 2, "as planned"));
    assert!(AssertUnwindSafe(job).catch_unwind().await.is_err());
    assert_eq!(pool.run(|| 7).await.unwrap(), 7);
}

#[test]
fn a_pool_outlives_a_runtime_and_works_without_one() {
    let pool = CodecPool::new(2);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { pool.run(|| 1).await }).unwrap(), 1);
    }
    assert_eq!(pool.run(|| 2).now_or_never().unwrap().unwrap(), 2);
}
