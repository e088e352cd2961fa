//! Whole exports: their result, their events, and what a dropped one leaves.

use std::sync::{Arc, Mutex};

use cache_core::{Event, Pushed};
use cache_ops::{ExportSettings, export};
use futures_util::future::join_all;

use super::{assert_holds, poll_times, which, write};
use crate::faulty::{Fault, Faulty};
use crate::graphs;
use crate::harness::{Harness, check_leftovers, settle};

/// Every blob exists, has its digest, and decompresses to its diff ID.
pub async fn an_exported_cache_verifies_deeply(place: &dyn Harness) {
    for seed in 0..4 {
        let cache = graphs::cache(seed);
        write(place, &cache).await;
        assert_holds(place, &cache).await;
    }
}

/// Blobs that are present are not read again.
pub async fn a_second_export_sends_no_bytes(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let first = write(place, &cache).await;
    assert_eq!((first.bytes, first.count(Pushed::Uploaded)), (cache.manifest.unique_bytes(), blobs(&cache)));
    let second = write(place, &cache).await;
    assert_eq!((second.bytes, second.count(Pushed::Uploaded)), (0, 0));
    assert_eq!(second.pushed.values().sum::<usize>(), blobs(&cache));
}

/// The most requests for an export of an existing cache, whatever its number of blobs.
const REQUESTS: usize = 12;
/// The requests for each new blob besides.
const REQUESTS_A_BLOB: usize = 5;
/// A number of blobs above which they are not looked up one by one.
const MANY: usize = 100;

/// An export of an existing cache takes few requests besides those for new blobs.
pub async fn a_second_export_of_many_blobs_sends_few_requests(place: &dyn Harness) {
    write(place, &graphs::wide(MANY)).await;
    for new in [0, 2] {
        let cache = graphs::wide(MANY + new);
        let _ = place.requests();
        let report = write(place, &cache).await;
        assert_eq!((report.count(Pushed::Uploaded), report.pushed.values().sum::<usize>()), (new, MANY + new));
        if let Some(asked) = place.requests() {
            assert!(asked <= REQUESTS + new * REQUESTS_A_BLOB, "{asked} requests for {new} new blobs");
        }
        assert_holds(place, &cache).await;
    }
}

/// A lost blob is detected although it was taken for present without a lookup.
pub async fn a_blob_that_was_lost_among_many_is_pushed_again(place: &dyn Harness) {
    let cache = graphs::wide(MANY);
    write(place, &cache).await;
    place.lose(&cache.manifest.blobs()[MANY / 3].digest).await;
    let report = write(place, &cache).await;
    assert_eq!(report.count(Pushed::Uploaded), 1);
    assert_holds(place, &cache).await;
}

fn blobs(cache: &graphs::Generated) -> usize {
    cache.manifest.blobs().len()
}

/// Events are in order, once for each blob, and count every byte.
pub async fn an_export_reports_its_events_in_order(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let told = Arc::new(Mutex::new((Vec::new(), 0)));
    let teller = Arc::clone(&told);
    let tell = move |event: &Event<'_>| {
        let mut told = teller.lock().expect("no test panics here");
        match event {
            Event::Started { blobs, .. } => told.0.push(format!("started {blobs}")),
            Event::BlobBytes { bytes, .. } => told.1 += bytes,
            Event::BlobDone { .. } => told.0.push("done".to_owned()),
            Event::Committing => told.0.push("committing".to_owned()),
            Event::Committed { .. } => told.0.push("committed".to_owned()),
            _ => {}
        }
    };
    let settings = ExportSettings::default().with_progress(Arc::new(tell));
    export(&cache.manifest, &cache.blobs, &*place.exporter().await, &settings).await.unwrap();
    let (events, bytes) = told.lock().expect("no test panics here").clone();
    let mut expected = vec![format!("started {}", blobs(&cache))];
    expected.extend(vec!["done".to_owned(); blobs(&cache)]);
    expected.extend(["committing", "committed"].map(str::to_owned));
    assert_eq!(events, expected);
    assert_eq!(bytes, cache.manifest.unique_bytes());
}

/// A dropped export leaves the old cache, or the new one if it was about to end. The next export leaves nothing else.
pub async fn dropping_an_export_leaves_the_old_cache(place: &dyn Harness) {
    let old = graphs::cache(1_000);
    write(place, &old).await;
    let mut possible = vec![old];
    let mut polls = 1;
    for seed in 0.. {
        let new = graphs::cache(seed);
        let slow = Faulty::new(&new.blobs).with_everywhere(Fault::Trickle(100));
        let exporter = place.exporter().await;
        let settings = ExportSettings::default();
        let done = poll_times(polls, export(&new.manifest, &slow, &*exporter, &settings)).await;
        settle().await;
        possible.push(new);
        let (held, newest) = (which(place, &possible).await, possible.len() - 1);
        if let Some(report) = done {
            report.unwrap();
            assert_eq!(held, newest);
            break;
        }
        // A server that has already received the commit may still execute it after this check.
        let mut at = 0..;
        possible.retain(|_| at.next().is_some_and(|at| at == held || at == newest));
        polls += 1 + polls / 4;
    }
    write(place, &graphs::cache(1_001)).await;
    check_leftovers(place).await;
}

/// The cache of the last commit is left, with all of its blobs.
pub async fn concurrent_exports_of_different_caches_leave_one_of_them(place: &dyn Harness) {
    let caches: Vec<_> = (0..8).map(graphs::cache).collect();
    let exports = caches.iter().map(|cache| async {
        let slow = Faulty::new(&cache.blobs).with_everywhere(Fault::Trickle(100));
        let exporter = place.exporter().await;
        export(&cache.manifest, &slow, &*exporter, &ExportSettings::default()).await
    });
    for report in join_all(exports).await {
        report.unwrap();
    }
    which(place, &caches).await;
}
