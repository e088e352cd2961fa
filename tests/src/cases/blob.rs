//! Blobs: push, stat and read.

use cache_core::seams::Silent;
use cache_core::{ErrorKind, Pushed};
use futures_util::future::join_all;

use super::{blob, bytes_of};
use crate::faulty::{Fault, Faulty};
use crate::harness::Harness;
use crate::random::Random;

/// After a push that sent bytes, the blob exists with its size and its bytes.
pub async fn push_uploads_then_is_present(place: &dyn Harness) {
    let (desc, source) = blob("layer");
    assert_eq!(place.exporter().await.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    let importer = place.importer().await;
    assert_eq!(importer.stat(&desc).await.unwrap().map(|info| info.size), Some(desc.size));
    assert_eq!(bytes_of(importer.read(&desc, None).await.unwrap()).await, b"layer");
}

/// A second push finds the blob and does not read the source.
pub async fn push_is_idempotent(place: &dyn Harness) {
    let (desc, source) = blob("layer");
    let exporter = place.exporter().await;
    exporter.push(&desc, &source).await.unwrap();
    source.lose(&desc.digest);
    for exporter in [exporter, place.exporter().await] {
        let pushed = exporter.push(&desc, &source).await.unwrap();
        assert!(matches!(pushed, Pushed::Present | Pushed::Refreshed), "{pushed:?}");
    }
    assert_eq!(bytes_of(place.importer().await.read(&desc, None).await.unwrap()).await, b"layer");
}

/// Writers that send the same blob at the same time do not disturb one another.
pub async fn concurrent_pushes_of_one_blob_all_succeed(place: &dyn Harness) {
    let bytes = Random::new(1).bytes(10_000);
    let (desc, source) = blob(bytes.clone());
    let (desc, slow) = (&desc, Faulty::new(&source).with_everywhere(Fault::Trickle(1_000)));
    let pushes = (0..8).map(|_| async {
        let exporter = place.exporter().await;
        place.retry().run(&Silent, || exporter.push(desc, &slow)).await
    });
    for pushed in join_all(pushes).await {
        pushed.unwrap();
    }
    assert_eq!(bytes_of(place.importer().await.read(desc, None).await.unwrap()).await, bytes);
}

/// An empty blob, and one that is a byte larger than a part of 8 MiB.
pub async fn an_empty_blob_and_a_large_one_round_trip(place: &dyn Harness) {
    for bytes in [Vec::new(), Random::new(2).bytes((8 << 20) + 1)] {
        let (desc, source) = blob(bytes.clone());
        place.exporter().await.push(&desc, &source).await.unwrap();
        let importer = place.importer().await;
        assert_eq!(importer.stat(&desc).await.unwrap().map(|info| info.size), Some(desc.size));
        assert!(bytes_of(importer.read(&desc, None).await.unwrap()).await == bytes, "{} bytes differ", desc.size);
    }
}

/// Absence is not an error, in an empty place and in one with other blobs.
pub async fn stat_of_an_absent_blob_is_none(place: &dyn Harness) {
    let (absent, _) = blob("absent");
    assert_eq!(place.importer().await.stat(&absent).await.unwrap(), None);
    let (other, source) = blob("other");
    place.exporter().await.push(&other, &source).await.unwrap();
    assert_eq!(place.importer().await.stat(&absent).await.unwrap(), None);
}

/// Reading a missing blob fails, and the error names the blob.
pub async fn read_of_an_absent_blob_is_not_found(place: &dyn Harness) {
    let (absent, _) = blob("absent");
    let importer = place.importer().await;
    for range in [None, Some(0..1)] {
        let error = importer.read(&absent, range).await.err().expect("there is nothing to read");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(error.to_string().contains(&absent.digest.to_string()), "{error}");
    }
}

/// A range returns exactly its bytes.
pub async fn ranged_reads_give_exactly_the_range(place: &dyn Harness) {
    let bytes = Random::new(3).bytes(200_000);
    let (desc, source) = blob(bytes.clone());
    place.exporter().await.push(&desc, &source).await.unwrap();
    let importer = place.importer().await;
    let end = desc.size;
    for range in [0..1, 0..end, 70_000..140_001, end - 1..end, 0..0, 100..100, end..end] {
        let read = bytes_of(importer.read(&desc, Some(range.clone())).await.unwrap()).await;
        assert!(read == bytes[range.start as usize..range.end as usize], "{range:?} gives other bytes");
    }
}
