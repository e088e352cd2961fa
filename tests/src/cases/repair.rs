//! Repair: a damaged cache becomes a sound one, and everything else is found as before.

use cache_core::graph::FindingCode;
use cache_core::manifest::RecordLink;
use cache_core::model::LayerEncoding;
use cache_core::{CacheChains, CacheConfig, CacheManifest, Descriptor, Digest, Expect};
use cache_ops::{Depth, ExportSettings, RepairOptions, Repaired, export, repair, verify};

use super::{assert_conflict, assert_sound, is_same, resolve, write};
use crate::graphs::{self, Generated, found};
use crate::harness::Harness;

/// A sound cache is not changed.
pub async fn a_sound_cache_is_left_alone(place: &dyn Harness) {
    let cache = graphs::cache(1);
    write(place, &cache).await;
    let repaired = repair_of(place, Depth::Deep).await;
    assert!(!repaired.is_changed(), "{:?}", repaired.findings);
    assert!(is_same(&repaired.manifest, &resolve(place).await.expect("it is there").manifest));
}

/// The results that need a lost blob are removed; the others stay.
pub async fn a_lost_blob_is_repaired(place: &dyn Harness) {
    for depth in [Depth::Fast, Depth::Deep] {
        let cache = graphs::cache(1);
        write(place, &cache).await;
        let lost = top(&cache);
        place.lose(&lost).await;
        assert_repairs(place, &cache, depth, FindingCode::BlobMissing, &[lost]).await;
    }
}

/// The results that need a blob with wrong bytes are removed; the others stay.
pub async fn a_corrupt_blob_is_repaired(place: &dyn Harness) {
    let cache = graphs::cache(2);
    write(place, &cache).await;
    let corrupt = top(&cache);
    let size = cache.manifest.descriptor(&corrupt).expect("it is in the cache").size;
    place.overwrite(&corrupt, vec![b'x'; usize::try_from(size).expect("layers are small")].into()).await;
    assert_repairs(place, &cache, Depth::Deep, FindingCode::BlobCorrupt, &[corrupt]).await;
}

/// A link to a missing record is removed; the record keeps its other alternatives.
pub async fn a_dangling_link_is_repaired(place: &dyn Harness) {
    let cache = graphs::cache(3);
    let mut config = cache.manifest.config().clone();
    let link = RecordLink { selector: String::new(), link: 9_999 };
    first_input(&mut config).push(link);
    write_damaged(place, &cache, config).await;
    assert_repairs(place, &cache, Depth::Fast, FindingCode::LinkOutOfRange, &[]).await;
}

/// A loop is cut where it closes, and nothing below it is lost.
pub async fn a_loop_is_repaired(place: &dyn Harness) {
    let cache = graphs::cache(4);
    let mut config = cache.manifest.config().clone();
    let itself = config.records.iter().position(|record| !record.inputs.is_empty()).expect("not only roots");
    let link = RecordLink { selector: String::new(), link: i64::try_from(itself).expect("it is small") };
    first_input(&mut config).push(link);
    write_damaged(place, &cache, config).await;
    assert_repairs(place, &cache, Depth::Fast, FindingCode::RecordLoop, &[]).await;
}

/// A repair in place replaces only the cache that it has read.
pub async fn a_repair_in_place_does_not_overwrite_another_cache(place: &dyn Harness) {
    let (cache, theirs) = (graphs::cache(1), graphs::cache(2));
    write(place, &cache).await;
    place.lose(&top(&cache)).await;
    let read = resolve(place).await.expect("it is there");
    let repaired = repair_of(place, Depth::Fast).await;
    write(place, &theirs).await;
    let settings = ExportSettings::default().with_expect(Expect::Version(read.version));
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    let outcome = export(&repaired.manifest, &*importer, &*exporter, &settings).await;
    assert_conflict(outcome.map(|report| report.committed));
    assert!(is_same(&resolve(place).await.expect("it is there").manifest, &theirs.manifest));
}

/// A wrong media type is a warning, since readers detect the compression by the bytes; repair corrects it.
pub async fn a_wrong_media_type_is_a_warning_that_repair_corrects(place: &dyn Harness) {
    let other = |encoding| match encoding {
        LayerEncoding::Gzip => LayerEncoding::Zstd,
        _ => LayerEncoding::Gzip,
    };
    let cache = write_retyped(place, other).await;
    assert_mends_types(place, &cache, FindingCode::MediaTypeMismatch).await;
}

/// Compressed bytes with the type of a plain tar are an error, since no reader decompresses them; repair corrects it.
pub async fn a_compressed_layer_typed_as_a_plain_tar_is_an_error_that_repair_corrects(place: &dyn Harness) {
    let cache = write_retyped(place, |_| LayerEncoding::Uncompressed).await;
    assert_mends_types(place, &cache, FindingCode::LayerUnreadable).await;
}

/// Writes a cache whose descriptors name wrong compressions.
async fn write_retyped(place: &dyn Harness, other: fn(LayerEncoding) -> LayerEncoding) -> Generated {
    let cache = graphs::cache_of(5, graphs::MANY_BLOBS);
    let retyped = cache.manifest.blobs().iter().map(|blob| {
        let encoding = blob.media_type.layer_encoding().expect("it is a layer");
        Descriptor { media_type: blob.media_type.with_layer_encoding(other(encoding)), ..blob.as_ref().clone() }
    });
    let manifest = CacheManifest::new(cache.manifest.config().clone(), retyped);
    export(&manifest, &cache.blobs, &*place.exporter().await, &ExportSettings::default()).await.unwrap();
    cache
}

/// Checks that `verify` finds only wrong types, and that repair corrects them and loses nothing.
async fn assert_mends_types(place: &dyn Harness, cache: &Generated, code: FindingCode) {
    let damaged = resolve(place).await.expect("the place holds a cache");
    let report = verify(&damaged.manifest, &*place.importer().await, Depth::Deep, 4).await.unwrap();
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.code != FindingCode::SeveralLeaves).collect();
    assert!(found.iter().all(|finding| finding.code == code) && !found.is_empty(), "{found:?}");
    assert_ne!(report.is_sound(), code.is_error());
    let repaired = repair_of(place, Depth::Deep).await;
    assert!(repaired.dropped.is_empty() && repaired.mended.len() == found.len(), "{:?}", repaired.mended);
    let settings = ExportSettings::default().with_expect(Expect::Version(damaged.version));
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    export(&repaired.manifest, &*importer, &*exporter, &settings).await.unwrap();
    let after = resolve(place).await.expect("the place holds a cache").manifest;
    for blob in cache.manifest.blobs() {
        assert_eq!(after.descriptor(&blob.digest).map(|after| &after.media_type), Some(&blob.media_type));
    }
    let report = verify(&after, &*place.importer().await, Depth::Deep, 4).await.unwrap();
    assert_eq!(report.findings, []);
}

/// The top layer's blob of some result.
fn top(cache: &Generated) -> Digest {
    let config = cache.manifest.config();
    let result = config.records.iter().find_map(|record| record.results.first()).expect("there is a result");
    config.layers[usize::try_from(result.layer).expect("the cache is sound")].blob
}

fn first_input(config: &mut CacheConfig) -> &mut Vec<RecordLink> {
    config.records.iter_mut().find_map(|record| record.inputs.first_mut()).expect("not only roots")
}

/// Writes a damaged config, which our writers never make.
async fn write_damaged(place: &dyn Harness, cache: &Generated, config: CacheConfig) {
    let manifest = CacheManifest::new(config, cache.manifest.blobs().iter().cloned());
    export(&manifest, &cache.blobs, &*place.exporter().await, &ExportSettings::default()).await.unwrap();
}

async fn repair_of(place: &dyn Harness, depth: Depth) -> Repaired {
    let manifest = resolve(place).await.expect("the place holds a cache").manifest;
    repair(&manifest, &*place.importer().await, RepairOptions::default().with_depth(depth)).await.unwrap()
}

/// Checks that `verify` finds the damage, that the cache is sound after a repair in place, and that everything that
/// needs none of the `lost` blobs is found as before.
async fn assert_repairs(place: &dyn Harness, cache: &Generated, depth: Depth, code: FindingCode, lost: &[Digest]) {
    let damaged = resolve(place).await.expect("the place holds a cache");
    let report = verify(&damaged.manifest, &*place.importer().await, depth, 4).await.unwrap();
    assert!(!report.is_sound() && report.findings.iter().any(|finding| finding.code == code), "{:?}", report.findings);
    let repaired = repair_of(place, depth).await;
    assert!(repaired.findings.iter().any(|finding| finding.code == code), "{:?}", repaired.findings);
    let settings = ExportSettings::default().with_expect(Expect::Version(damaged.version));
    let (importer, exporter) = (place.importer().await, place.exporter().await);
    export(&repaired.manifest, &*importer, &*exporter, &settings).await.unwrap();
    let after = resolve(place).await.expect("the place holds a cache").manifest;
    assert_sound(&after, &*place.importer().await).await;
    let after = CacheChains::from_manifest(&after).unwrap();
    let mut untouched = cache.chains.clone();
    untouched.drop_results_needing(&lost.iter().copied().collect());
    let untouched = CacheChains::from_manifest(&leading(&untouched)).unwrap();
    assert_eq!(found(&untouched, &after), untouched.len());
}

/// The records that lead to a result; the others are useless.
fn leading(chains: &CacheChains) -> CacheManifest {
    let optimized = cache_ops::optimize(&chains.to_manifest(), &cache_ops::OptimizeOptions::default());
    optimized.expect("a generated graph is sound").manifest
}
