//! Servers and proxies that change answers, or send none: blobs and documents are still read, and waits have a limit.

use std::time::{Duration, Instant};

use cache_core::{Error, ErrorKind};
use cache_kit::Timeouts;
use futures_util::stream::TryStreamExt;

use super::{blob, bytes_of, write};
use crate::graphs;
use crate::harness::{Harness, Quirk};
use crate::random::Random;

/// Blobs are read right if the server ignores ranges, sends other ranges, or does not say where a range begins.
pub async fn blobs_are_read_if_ranges_are_ignored_or_wrong(place: &dyn Harness) {
    for quirk in [Quirk::NoRanges, Quirk::UntoldRanges, Quirk::OtherRangeFirst] {
        reads_are_right(place, quirk).await;
    }
}

/// gzip that a proxy adds is decompressed, also in parts. A header that wrongly claims gzip is ignored.
pub async fn gzip_of_a_proxy_is_decompressed(place: &dyn Harness) {
    for quirk in [Quirk::Gzip, Quirk::GzipInName] {
        reads_are_right(place, quirk).await;
        if place.speak(quirk) {
            let cache = graphs::cache(1);
            write(place, &cache).await;
            let resolved = place.importer().await.resolve().await.unwrap().expect("it was written");
            assert_eq!(resolved.manifest.blobs(), cache.manifest.blobs(), "{quirk:?}");
            place.calm();
        }
    }
}

async fn reads_are_right(place: &dyn Harness, quirk: Quirk) {
    let bytes = Random::new(4).bytes(100_000);
    let (desc, source) = blob(bytes.clone());
    place.exporter().await.push(&desc, &source).await.unwrap();
    let end = desc.size;
    for range in [None, Some(0..1), Some(0..end), Some(70_000..90_000), Some(end - 1..end), Some(0..0), Some(end..end)]
    {
        if !place.speak(quirk) {
            return;
        }
        let read = bytes_of(place.importer().await.read(&desc, range.clone()).await.unwrap()).await;
        let range = range.unwrap_or(0..end);
        assert!(read == bytes[range.start as usize..range.end as usize], "{quirk:?} {range:?} gives other bytes");
        place.calm();
    }
}

/// A store that loses bytes of an upload in parts is detected by the size that it reports.
pub async fn lost_bytes_of_an_upload_in_parts_are_detected(place: &dyn Harness) {
    if !place.speak(Quirk::LosesParts) {
        return;
    }
    let (desc, source) = blob(Random::new(5).bytes((8 << 20) + 1));
    let error = place.exporter().await.push(&desc, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("size")), (ErrorKind::DigestMismatch, Some("8388609")), "{error:?}");
    place.calm();
    place.lose(&desc.digest).await;
}

/// A server that accepts a connection and sends nothing is an error. An answer has less time than a body, and the error
/// states the wait.
pub async fn a_silent_server_is_an_error_that_states_the_wait(place: &dyn Harness) {
    let (desc, source) = blob(Random::new(6).bytes(100_000));
    place.exporter().await.push(&desc, &source).await.unwrap();
    let mut timeouts = Timeouts::all(Duration::from_millis(700));
    timeouts.answer = Some(Duration::from_millis(200));
    let Some(backend) = place.hasty(timeouts) else { return };
    tokio::time::resume();
    let importer = backend.importer(&place.spec()).await.expect("the spec is valid");
    for (quirk, told) in [(Quirk::Silent, "0.2 s"), (Quirk::SilentInBodies, "0.7 s")] {
        place.speak(quirk);
        let begun = Instant::now();
        let read = async { importer.read(&desc, None).await?.try_collect::<Vec<_>>().await };
        let error: Error = read.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains(&format!("nothing has moved for {told}")), "{quirk:?}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{quirk:?} takes {:?}", begun.elapsed());
        place.calm();
    }
}
