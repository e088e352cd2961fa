//! Lists, deletions and unfinished uploads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheExporter, CacheStore, Descriptor, ErrorKind, Pushed, Result, Timestamp,
};
use cache_ops::{PrunePolicy, PruneSettings, plan_prune, prune};
use cache_s3::{S3Exporter, S3Store};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::S3;
use cache_tests::random::Random;
use cache_tests::servers::s3::{Options, Server};
use futures_util::stream::{self, TryStreamExt};

use crate::{HOUR, LARGE, blob, config, key, write};

#[tokio::test(start_paused = true)]
async fn thousands_are_listed_in_pages_and_deleted_in_batches() {
    for deletes_batches in [true, false] {
        let server = Server::start(Options { deletes_batches, ..Options::default() });
        let exporter = S3Exporter::new(config(&server));
        for number in 0..120_u32 {
            let (blob, source) = blob(number.to_le_bytes().to_vec());
            exporter.push(&blob, &source).await.unwrap();
        }
        let store = S3Store::new(config(&server));
        let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
        assert_eq!(listed.len(), 120);
        let _ = server.take_log();
        let deleted = store.delete_blobs(&listed[..100]).await;
        assert!(
            deleted.iter().all(|outcome| matches!(outcome, Ok(cache_core::seams::Deleted::Removed))),
            "{deleted:?}"
        );
        let shorts = server.take_shorts();
        let lists = shorts.iter().filter(|short| *short == "GET list 200").count();
        assert_eq!(lists, 2, "{shorts:?}");
        assert_eq!(shorts.len(), if deletes_batches { 3 } else { 103 }, "{shorts:?}");
        assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_was_refreshed_since_it_was_listed_stays() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let (exporter, store) = (S3Exporter::new(config(&server)), S3Store::new(config(&server)));
    exporter.push(&small, &source).await.unwrap();
    server.age(&key(&small), HOUR * 25);
    let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Refreshed);
    let outcome = store.delete_blobs(&listed).await.remove(0);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(server.keys().contains(&key(&small)));
}

/// A source that never sends bytes, and signals when they are requested.
#[derive(Default)]
struct Stuck {
    is_asked: Arc<AtomicBool>,
}

#[async_trait]
impl BlobProvider for Stuck {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        Ok(Some(BlobInfo::new(blob.size)))
    }

    async fn read(&self, _: &Descriptor, _: Option<Range<u64>>) -> Result<BlobStream> {
        let is_asked = Arc::clone(&self.is_asked);
        Ok(Box::pin(stream::poll_fn(move |_| {
            is_asked.store(true, Ordering::Relaxed);
            Poll::Pending
        })))
    }
}

/// Pushes until the upload is open and the exporter knows its id.
async fn begin(server: &Server, exporter: &S3Exporter, blob: &Descriptor) {
    let stuck = Stuck::default();
    let is_open = async {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !stuck.is_asked.load(Ordering::Relaxed) && std::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        pushed = exporter.push(blob, &stuck) => panic!("the source is stuck: {pushed:?}"),
        () = is_open => {}
    }
    assert_eq!(server.uploads().keys().len(), 1);
}

/// A writer whose runtime ends with it leaves its upload open.
fn die(server: &Server, blob: &Descriptor) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let exporter = S3Exporter::new(config(server));
            runtime.block_on(begin(server, &exporter, blob));
        });
    });
}

#[tokio::test]
async fn the_upload_of_a_dead_writer_is_aborted_by_the_next_run_and_by_prune() {
    let server = Server::start(Options::default());
    let [(first, first_source), (second, second_source)] = [1, 2].map(|seed| blob(Random::new(seed).bytes(LARGE)));
    die(&server, &first);
    S3Exporter::new(config(&server)).push(&first, &first_source).await.unwrap();
    assert_eq!(server.uploads().keys().len(), 1, "it may still be alive");
    server.uploads().age(HOUR * 25);
    S3Exporter::new(config(&server)).push(&second, &second_source).await.unwrap();
    assert!(server.uploads().keys().is_empty());

    server.lose(&first.digest);
    die(&server, &first);
    let store = S3Store::new(config(&server));
    assert_eq!(store.abort_uploads("2020-01-01T00:00:00Z".parse().unwrap()).await.unwrap(), 0);
    server.uploads().age(HOUR);
    assert_eq!(store.abort_uploads(Timestamp::now()).await.unwrap(), 1);
    assert!(server.uploads().keys().is_empty());
}

/// The grace is that of S3, since blobs of a day ago may still be needed.
#[tokio::test]
async fn a_prune_lists_in_pages_deletes_at_once_and_aborts_the_upload_of_a_day_ago() {
    let server = Server::start(Options::default());
    write(config(&server), &graphs::cache(1)).await.unwrap();
    let kept = server.keys().iter().filter(|key| key.starts_with("blobs/")).count();
    let exporter = S3Exporter::new(config(&server));
    for number in 0..121_u32 {
        let (blob, source) = blob(number.to_le_bytes().to_vec());
        exporter.push(&blob, &source).await.unwrap();
        server.age(&key(&blob), if number == 0 { HOUR * 24 } else { HOUR * 26 });
    }
    let (large, _) = blob(Random::new(1).bytes(LARGE));
    die(&server, &large);
    let store = S3Store::new(config(&server));
    let plan = plan_prune(
        &store,
        &PrunePolicy::new(Duration::from_secs(25 * 3600)),
        Timestamp::now(),
        &PruneSettings::default(),
    )
    .await
    .unwrap();
    assert_eq!((plan.grace(), plan.young_blobs, plan.blobs.as_ref().map(Vec::len)), (HOUR * 25, 1, Some(120)));

    let _ = server.take_log();
    server.uploads().age(HOUR * 26);
    let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, report.uploads, server.uploads().keys().len()), (120, 1, 0));
    let shorts = server.take_shorts();
    let count = |short: &str| shorts.iter().filter(|logged| *logged == short).count();
    // Two lists of the blobs in pages of 50, and one each of the caches and the contributions.
    assert_eq!(count("GET list 200"), 2 * (kept + 121).div_ceil(50) + 2, "{shorts:?}");
    assert_eq!((count("POST other?delete 200"), count("GET manifests 200")), (1, 1), "{shorts:?}");
    assert_eq!((count("GET other?uploads 200"), count("DELETE blobs?uploadId 204")), (1, 1), "{shorts:?}");
    assert_eq!(shorts.len(), count("GET list 200") + 4, "{shorts:?}");
    assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), kept + 1);
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted() {
    let place = S3::new();
    let (large, _) = blob(Random::new(1).bytes(LARGE));
    begin(place.server(), &S3Exporter::new(config(place.server())), &large).await;
    assert!(place.leftovers().await.is_empty());
}
