//! A store with very many blobs: the number of requests, and how many are sent at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::{CacheStore, Timestamp};
use cache_ops::{LookEvent, PruneEvent, PrunePolicy, PruneSettings, plan_prune, prune, weigh};
use cache_s3::{S3Config, S3Store};
use cache_tests::servers::made_up::{Kind, LAYERS, PLACE, Server, Size};
use futures_util::stream::TryStreamExt;

use crate::{HOUR, environment};

const SIZE: Size = Size { blobs: 8_000, caches: 160, page: 80, delay: Duration::from_millis(1) };
const FREE: usize = SIZE.blobs - SIZE.caches * LAYERS;
/// The pages of all blobs, and of all caches.
const PAGES: usize = SIZE.blobs / SIZE.page;
const NAMES: usize = SIZE.caches / SIZE.page;
/// The additional pages of a list in parts, each of which ends with its own page.
const PARTS: usize = 18;

fn store(server: &Server) -> S3Store {
    S3Store::new(S3Config::new(PLACE, "eu-test-1", environment()).with_endpoint(server.endpoint(), true))
}

#[tokio::test]
async fn blobs_are_listed_in_parts_each_once() {
    let server = Server::start(Kind::S3, SIZE);
    let mut digests: Vec<_> = store(&server).blobs().map_ok(|blob| blob.digest).try_collect::<Vec<_>>().await.unwrap();
    digests.sort_unstable();
    digests.dedup();
    let asked = server.take_asked();
    assert_eq!(digests.len(), SIZE.blobs);
    assert!((PAGES..=PAGES + PARTS).contains(&asked.lists), "{asked:?}");
    assert!((4..=16).contains(&asked.most), "{asked:?}");
}

/// `du` and a plan read each index once, several at once, and list each page once.
#[tokio::test]
async fn a_plan_takes_one_request_for_each_page_and_each_cache() {
    let server = Server::start(Kind::S3, SIZE);
    let listed = AtomicUsize::new(0);
    let told = |event| match event {
        LookEvent::Listed { blobs } => listed.store(blobs, Ordering::Relaxed),
        LookEvent::Read { done, total } => assert!(done <= total && total == SIZE.caches),
        _ => {}
    };
    let weight = weigh(&store(&server), &told).await.unwrap();
    assert_eq!((weight.caches, weight.blobs, weight.unreachable_blobs), (SIZE.caches, SIZE.blobs, Some(FREE)));
    let look = |asked: cache_tests::servers::made_up::Asked| {
        assert_eq!((asked.indexes, asked.others), (SIZE.caches, 0), "{asked:?}");
        assert!(asked.lists <= PAGES + PARTS + 2 * NAMES, "{asked:?}");
        // 64 caches, and the parts of the list.
        assert!((8..=64 + PARTS).contains(&asked.most), "{asked:?}");
    };
    look(server.take_asked());
    assert_eq!(listed.into_inner(), SIZE.blobs);

    let policy = PrunePolicy::new(HOUR);
    let plan = plan_prune(&store(&server), &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert_eq!((plan.kept_caches, plan.blobs.as_ref().map(Vec::len)), (SIZE.caches, Some(FREE)));
    look(server.take_asked());
}

/// A prune that was stopped continues with the same plan, within its rate.
#[tokio::test]
async fn a_prune_continues_where_it_was_stopped() {
    let server = Server::start(Kind::S3, SIZE);
    let policy = PrunePolicy::new(HOUR);
    let plan = plan_prune(&store(&server), &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    let rate = NonZeroU32::new(200).unwrap();
    let (told, telling) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let progress = move |event: &PruneEvent| {
        if matches!(event, PruneEvent::Blobs { .. }) {
            let _ = told.lock().unwrap().take().map(|told| told.send(()));
        }
    };
    let settings = PruneSettings::default().with_rate(rate).with_progress(Arc::new(progress));
    let first = store(&server);
    tokio::select! {
        ended = prune(&first, &plan, &settings) => panic!("it takes 20 seconds: {ended:?}"),
        told = telling => told.unwrap(),
    }
    let deleted = server.deleted();
    assert!((1..FREE).contains(&deleted), "{deleted}: {:?}", server.take_asked());

    let report = prune(&store(&server), &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, server.deleted()), (FREE - deleted, FREE));
    let again = plan_prune(&store(&server), &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
}
