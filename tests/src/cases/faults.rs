//! Sources that fail, and damaged stores: nothing is lost, and the error says what failed and where.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cache_core::graph::FindingCode;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Digest, Error, ErrorKind, Event, Pushed, Result, Side};
use cache_kit::RetryPolicy;
use cache_memory::MemoryCache;
use cache_ops::{Depth, ExportSettings, VerifyReport, export, verify};

use super::{assert_holds, resolve, write};
use crate::faulty::{Fault, Faulty, flipped};
use crate::graphs::{self, Generated};
use crate::harness::{Harness, check_leftovers};

/// A source that ends early again and again is unavailable.
pub async fn a_truncated_source_fails_and_commits_nothing(place: &dyn Harness) {
    for at in [0, 1, 20] {
        let error = fails_and_commits_nothing(place, Fault::Truncate(at)).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
}

/// Wrong bytes never reach a cache, and the error names the side that sent them.
pub async fn wrong_bytes_are_a_digest_mismatch_of_the_source(place: &dyn Harness) {
    for at in [0, 20] {
        let error = fails_and_commits_nothing(place, Fault::Corrupt(at)).await;
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
        assert!(!error.is_retryable(), "{error:?}");
    }
}

/// The kind of the source's error is the kind of the export's.
pub async fn a_source_that_fails_midway_commits_nothing(place: &dyn Harness) {
    for kind in [ErrorKind::Unavailable, ErrorKind::PermissionDenied, ErrorKind::RateLimited] {
        let error = fails_and_commits_nothing(place, Fault::Fail(kind, 20)).await;
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

/// A blob that the source has lost is an error of kind `NotFound`.
pub async fn a_blob_that_the_source_lost_is_not_found(place: &dyn Harness) {
    let error = fails_and_commits_nothing(place, Fault::Lose).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

/// Exports a cache over an old one, with a fault in one blob, and returns the error.
async fn fails_and_commits_nothing(place: &dyn Harness, fault: Fault) -> Error {
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    write(place, &old).await;
    let blob = not_in(&old, &new);
    let source = Faulty::new(&new.blobs).with(blob.digest, fault);
    let exporter = place.exporter().await;
    let outcome = export(&new.manifest, &source, &*exporter, &ExportSettings::default()).await;
    // A writer may have its own directory until it is dropped.
    drop(exporter);
    let error = outcome.expect_err("the source is faulty");
    assert_eq!(error.side(), Some(Side::Source), "{error:?}");
    assert_eq!(error.context("blob"), Some(blob.digest.to_string().as_str()), "{error:?}");
    assert_holds(place, &old).await;
    assert_eq!(place.importer().await.stat(blob).await.unwrap(), None, "the blob is there without its bytes");
    check_leftovers(place).await;
    error
}

/// A blob of `new` that is not in `old`.
fn not_in<'a>(old: &Generated, new: &'a Generated) -> &'a Descriptor {
    let mut blobs = new.manifest.blobs().iter();
    blobs.find(|blob| old.manifest.descriptor(&blob.digest).is_none()).expect("two seeds have different layers")
}

/// Whatever the fault and the blob, the old cache stays.
pub async fn a_random_fault_commits_nothing(place: &dyn Harness) {
    let old = graphs::cache(1_000);
    write(place, &old).await;
    for seed in 0..20 {
        let new = graphs::cache(seed);
        let mut unsent = new.manifest.blobs().to_vec();
        let importer = place.importer().await;
        for blob in new.manifest.blobs() {
            if importer.stat(blob).await.unwrap().is_some() {
                unsent.retain(|other| other != blob);
            }
        }
        let source = Faulty::new(&new.blobs).with_random(seed, &unsent);
        let exporter = place.exporter().await;
        let outcome = export(&new.manifest, &source, &*exporter, &ExportSettings::default()).await;
        assert_eq!(outcome.expect_err("the source is faulty").side(), Some(Side::Source));
        assert_holds(place, &old).await;
    }
}

/// A slow source is not a failure.
pub async fn a_slow_source_is_waited_for(place: &dyn Harness) {
    for fault in [Fault::Delay(Duration::from_secs(3_600)), Fault::Trickle(7)] {
        let cache = graphs::cache(1);
        let source = Faulty::new(&cache.blobs).with_everywhere(fault);
        let exporter = place.exporter().await;
        export(&cache.manifest, &source, &*exporter, &ExportSettings::default()).await.unwrap();
        assert_holds(place, &cache).await;
    }
}

/// A push is retried while the source refuses temporarily, and an export without retries can be run again.
pub async fn a_source_that_refuses_is_tried_again(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let source = Faulty::new(&cache.blobs).with_refusals(10);
    let exporter = place.exporter().await;
    let hasty = ExportSettings::default().with_retry(RetryPolicy::never());
    let error = export(&cache.manifest, &source, &*exporter, &hasty).await.expect_err("the source refuses");
    assert_eq!((error.kind(), error.side()), (ErrorKind::RateLimited, Some(Side::Source)), "{error:?}");
    export(&cache.manifest, &source, &*exporter, &ExportSettings::default()).await.unwrap();
    assert_holds(place, &cache).await;
}

/// A push that is retried or resumed counts and reports no byte twice.
pub async fn bytes_count_once_however_often_they_are_sent(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let told = Arc::new(AtomicU64::new(0));
    let teller = Arc::clone(&told);
    let tell = move |event: &Event<'_>| {
        if let Event::BlobBytes { bytes, .. } = event {
            teller.fetch_add(*bytes, Ordering::Relaxed);
        }
    };
    let source = Faulty::new(&cache.blobs).with_stumbles();
    let settings = ExportSettings::default().with_progress(Arc::new(tell));
    let report = export(&cache.manifest, &source, &*place.exporter().await, &settings).await.unwrap();
    assert_eq!((report.bytes, told.load(Ordering::Relaxed)), (cache.manifest.unique_bytes(), report.bytes));
    assert_holds(place, &cache).await;
}

/// A present blob that is deleted before the commit is pushed again.
pub async fn a_blob_deleted_during_an_export_is_pushed_again(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let [present, .., last] = cache.manifest.blobs() else { panic!("the cache has two blobs") };
    place.exporter().await.push(present, &cache.blobs).await.unwrap();
    let source =
        Pruner { blobs: &cache.blobs, place, prune: present.digest, on: last.digest, is_done: AtomicBool::new(false) };
    let settings = ExportSettings::default().with_concurrency(1);
    export(&cache.manifest, &source, &*place.exporter().await, &settings).await.unwrap();
    assert!(source.is_done.into_inner());
    assert_holds(place, &cache).await;
}

/// A source that, while one blob is read, deletes another one from the store, once.
struct Pruner<'a> {
    blobs: &'a MemoryCache,
    place: &'a dyn Harness,
    prune: Digest,
    on: Digest,
    is_done: AtomicBool,
}

#[async_trait]
impl BlobProvider for Pruner<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.blobs.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        if blob.digest == self.on && !self.is_done.swap(true, Ordering::Relaxed) {
            self.place.lose(&self.prune).await;
        }
        self.blobs.read(blob, range).await
    }
}

/// A lost blob is a finding, with the results that need it.
pub async fn a_lost_blob_is_a_finding(place: &dyn Harness) {
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let blob = &cache.manifest.blobs()[0];
    place.lose(&blob.digest).await;
    for depth in [Depth::Fast, Depth::Deep] {
        let report = verified(place, depth).await;
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        assert_eq!(report.findings[0].code, FindingCode::BlobMissing);
        assert!(report.findings[0].object.contains(&blob.digest.to_string()));
        assert!(!report.findings[0].affected.keys.is_empty());
    }
}

/// A blob with a wrong byte, and one with a wrong length, are findings.
pub async fn a_corrupt_blob_is_a_finding(place: &dyn Harness) {
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let blob = &cache.manifest.blobs()[0];
    let bytes = super::bytes_of(cache.blobs.read(blob, None).await.unwrap()).await;
    place.overwrite(&blob.digest, flipped(&bytes, bytes.len() / 2)).await;
    assert_eq!(codes(&verified(place, Depth::Deep).await), [FindingCode::BlobCorrupt]);
    place.overwrite(&blob.digest, bytes[..bytes.len() - 1].to_vec().into()).await;
    assert_eq!(codes(&verified(place, Depth::Fast).await), [FindingCode::BlobSizeWrong]);
    place.lose(&blob.digest).await;
}

async fn verified(place: &dyn Harness, depth: Depth) -> VerifyReport {
    let importer = place.importer().await;
    let resolved = importer.resolve().await.unwrap().expect("the manifest is there");
    verify(&resolved.manifest, &*importer, depth, 4).await.unwrap()
}

fn codes(report: &VerifyReport) -> Vec<FindingCode> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// A manifest without its config is an error, and not an absent cache, so that the next export notices it.
pub async fn a_lost_config_is_not_found(place: &dyn Harness) {
    write(place, &graphs::cache(1)).await;
    let Some(config) = config_beside_a_manifest(place).await else { return };
    place.lose(&config.digest).await;
    let error = place.importer().await.resolve().await.expect_err("the config is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(error.to_string().contains(&config.digest.to_string()), "{error}");
    write(place, &graphs::cache(2)).await;
    assert_holds(place, &graphs::cache(2)).await;
}

/// BuildKit accepts a config with a wrong digest; here it is verified.
pub async fn a_corrupt_config_is_a_digest_mismatch(place: &dyn Harness) {
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let Some(config) = config_beside_a_manifest(place).await else { return };
    let mut bytes = cache.manifest.config().encode();
    let at = bytes.windows(6).position(|text| text == b"sha256").expect("a config has digests");
    bytes[at + 8] ^= 1;
    place.overwrite(&config.digest, bytes.into()).await;
    let error = place.importer().await.resolve().await.expect_err("the config is another one");
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
    assert!(error.to_string().contains(&config.digest.to_string()), "{error}");
    place.lose(&config.digest).await;
}

/// The descriptor of the config, if the config is a separate blob.
async fn config_beside_a_manifest(place: &dyn Harness) -> Option<Descriptor> {
    let manifest = resolve(place).await?.manifest;
    manifest.raw_manifest()?;
    manifest.raw_config().map(|config| config.descriptor.clone())
}

/// An export pushes a blob again that the store has lost.
pub async fn a_lost_blob_is_pushed_again(place: &dyn Harness) {
    let cache = graphs::cache(1);
    write(place, &cache).await;
    place.lose(&cache.manifest.blobs()[0].digest).await;
    let report = write(place, &cache).await;
    assert_eq!(report.count(Pushed::Uploaded), 1);
    assert_holds(place, &cache).await;
}
