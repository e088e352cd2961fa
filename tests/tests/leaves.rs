//! Caches with several leaves: every cache is written with one, which shows only in the bytes.

use std::collections::HashSet;

use cache_core::graph::FindingCode;
use cache_core::manifest::{CacheLayer, CacheRecord, ManifestForm};
use cache_core::model::Limits;
use cache_core::{
    BlobProvider, CacheChains, CacheConfig, CacheImporter, CacheKey, CacheManifest, CacheResult, Compression,
    CompressionKind, Descriptor, Digest, MediaType, Mode, Timestamp, annotation, check,
};
use cache_memory::MemoryCache;
use cache_ops::{
    Conversion, CopyOptions, Depth, ExportSettings, OptimizeOptions, RepairOptions, copy_manifest, optimize, repair,
    verify,
};
use cache_tests::fixtures::{Fixture, named};
use cache_tests::graphs::{cache, config_of, tangle};

/// The cache of BuildKit v0.32.2 for two platforms that share sources.
fn two_platforms() -> Fixture {
    named("v0.32/two-platforms")
}

async fn read(fixture: &Fixture) -> CacheManifest {
    let (_, entry) = fixture.entries().remove(0);
    fixture.load(fixture.document(&entry.digest)).await
}

/// The records in each form in which the cache can be written.
fn written(manifest: &CacheManifest) -> Vec<(&'static str, Vec<CacheRecord>)> {
    let decode = |bytes: &[u8]| CacheConfig::decode(bytes).unwrap().records;
    let forms = [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList];
    let manifests = forms.map(|form| (form.name(), decode(&manifest.encode(Some(form)).config.bytes)));
    let flat = ("flat", decode(&manifest.encode_flat().unwrap()));
    manifests.into_iter().chain([flat]).collect()
}

fn leaves(records: &[CacheRecord]) -> usize {
    let linked: HashSet<i64> =
        records.iter().flat_map(|record| &record.inputs).flatten().map(|link| link.link).collect();
    (0..records.len() as i64).filter(|n| !linked.contains(n)).count()
}

fn assert_is_joined(manifest: &CacheManifest, what: &str) {
    for (form, records) in written(manifest) {
        assert_eq!(leaves(&records), 1, "{what}, {form}");
    }
}

fn codes(manifest: &CacheManifest) -> Vec<FindingCode> {
    check(manifest).iter().map(|finding| finding.code).collect()
}

fn union(parts: &[&CacheManifest]) -> CacheManifest {
    let parts: Vec<CacheChains> = parts.iter().map(|part| CacheChains::from_manifest(part).unwrap()).collect();
    let mut union = CacheChains::new();
    union.merge_all(&parts).unwrap();
    union.to_manifest()
}

/// The manifest as it is read from an object store.
fn read_back(manifest: &CacheManifest) -> CacheManifest {
    CacheManifest::decode_flat(manifest.encode_flat().unwrap()).unwrap()
}

#[test]
fn two_merged_caches_that_share_steps_have_one_leaf() {
    let (a, b) = (cache(1).manifest, cache(2).manifest);
    let merged = union(&[&a, &b]);
    assert!(leaves(&merged.config().records) > 1);
    assert_is_joined(&merged, "merged");
}

#[test]
fn every_generated_cache_is_written_with_one_leaf_and_read_without_the_joining_record() {
    for seed in 0..50 {
        for manifest in [cache(seed).manifest, tangle(seed).to_manifest()] {
            let is_split = leaves(&manifest.config().records) > 1;
            assert_is_joined(&manifest, &format!("seed {seed}"));
            let again = read_back(&manifest);
            assert_eq!((again.is_joined(), codes(&again)), (is_split, vec![]), "seed {seed}");
            assert_eq!(again.config().records, manifest.config().records, "seed {seed}");
        }
    }
}

#[test]
fn joining_records_do_not_pile_up_in_repeated_merges() {
    let [a, b, c] = [1, 2, 3].map(|seed| cache(seed).manifest);
    let at_once = union(&[&a, &b, &c]);
    let one_by_one = union(&[&read_back(&union(&[&read_back(&a), &b])), &read_back(&c)]);
    assert_eq!(one_by_one.encode_flat().unwrap(), at_once.encode_flat().unwrap());
    let twice = union(&[&read_back(&at_once), &read_back(&at_once)]);
    assert_eq!(twice.encode_flat().unwrap(), at_once.encode_flat().unwrap());
}

#[tokio::test]
async fn several_leaves_of_two_platforms_are_found_and_joined_by_optimize() {
    let fixture = two_platforms();
    let manifest = read(&fixture).await;
    assert_eq!(leaves(&manifest.config().records), 2);
    let report = verify(&manifest, &fixture, Depth::Deep, 4).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.code, finding.object.as_str())).collect();
    assert_eq!(found, [(FindingCode::SeveralLeaves, "config")]);
    assert!(!FindingCode::SeveralLeaves.is_error());

    let optimized = optimize(&manifest, &OptimizeOptions::default()).unwrap();
    assert!(optimized.is_changed(&manifest));
    assert_is_joined(&optimized.manifest, "optimized");
    let repaired = repair(&manifest, &fixture, RepairOptions::default()).await.unwrap();
    assert!(repaired.is_changed());
    assert_is_joined(&repaired.manifest, "repaired");
    for mended in [optimized.manifest, repaired.manifest] {
        assert_eq!(codes(&read_back(&mended)), []);
        // It is unchanged, except for the record that joins the leaves, and for the order, which is random in BuildKit.
        assert_eq!(mended.config(), CacheChains::from_manifest(&manifest).unwrap().to_manifest().config());
    }
}

#[tokio::test]
async fn a_plain_copy_keeps_what_it_reads() {
    let fixture = two_platforms();
    let manifest = read(&fixture).await;
    let store = MemoryCache::new();
    let settings = ExportSettings::default();
    let copied = copy_manifest(manifest.clone(), &fixture, &store, CopyOptions::default(), &settings).await.unwrap();
    assert_eq!(copied.manifest.raw_config(), manifest.raw_config());
    let there = store.resolve().await.unwrap().unwrap().manifest;
    assert_eq!(there.raw_config(), manifest.raw_config());
    assert_eq!(codes(&there), [FindingCode::SeveralLeaves]);
}

/// The blobs of a fixture without one.
fn without(fixture: &Fixture, lost: &Digest) -> MemoryCache {
    let store = MemoryCache::new();
    for (_, bytes) in fixture.blobs().into_iter().filter(|(blob, _)| blob != lost) {
        let _ = store.insert(bytes);
    }
    store
}

#[tokio::test]
async fn a_copy_that_changes_the_cache_has_one_leaf() {
    let fixture = two_platforms();
    let manifest = read(&fixture).await;
    let last = manifest.config().records.last().unwrap().results[0].layer as usize;
    let last = manifest.config().layers[last].blob;
    let lost = without(&fixture, &last);
    let zstd = Compression::new(CompressionKind::Zstd).with_force(true);
    let (min, skip, convert) = (
        CopyOptions::default().with_mode(Some(Mode::Min)),
        CopyOptions::default().with_skip_missing(true),
        CopyOptions::default().with_conversion(Some(Conversion::new(zstd))),
    );
    for (what, options, blobs) in
        [("min", min, &fixture as &dyn BlobProvider), ("skip-missing", skip, &lost), ("converted", convert, &fixture)]
    {
        let store = MemoryCache::new();
        let settings = ExportSettings::default();
        let copied = copy_manifest(manifest.clone(), blobs, &store, options, &settings).await.unwrap();
        assert_is_joined(&copied.manifest, what);
        let there = store.resolve().await.unwrap().unwrap().manifest;
        assert_eq!((there.is_joined(), codes(&there)), (true, vec![]), "{what}");
    }
}

#[tokio::test]
async fn a_repaired_build_has_one_leaf() {
    // The cache has one leaf, and two once the result of the joining step is lost.
    let fixture = named("v0.32/max-manifest");
    let manifest = read(&fixture).await;
    let records = &manifest.config().records;
    assert_eq!(leaves(records), 1);
    for blob in manifest.blobs() {
        let store = without(&fixture, &blob.digest);
        if let Ok(repaired) = repair(&manifest, &store, RepairOptions::default()).await {
            assert!(repaired.is_changed());
            assert_is_joined(&repaired.manifest, &format!("without {}", blob.digest));
        }
    }
}

#[test]
fn the_joining_record_counts_towards_the_size_limit() {
    // Four thousand roots: the record that joins them is a large part of the config.
    let config = config_of(4000, 1);
    let layer = |layer: &CacheLayer| {
        Descriptor::new(MediaType::OCI_LAYER, layer.blob, 1).with_annotation(annotation::UNCOMPRESSED, layer.blob)
    };
    let blobs: Vec<_> = config.layers.iter().map(layer).collect();
    let manifest = CacheManifest::new(config, blobs);
    let alone = manifest.config().encode().len() as u64;
    let size = |manifest: &CacheManifest| manifest.encode(None).config.descriptor.size;
    assert!(size(&manifest) > alone + 4000 * 10);
    let limit = Limits::BUILDKIT_IMPORT / 2;
    let small = optimize(&manifest, &OptimizeOptions::default().with_max_config_size(Some(limit))).unwrap().manifest;
    assert!(size(&small) <= limit);
    assert_is_joined(&small, "limited");
}

#[test]
fn caches_that_share_nothing_are_not_related_by_the_joining_record() {
    let parts = |names: [&str; 2]| {
        let [a, b] = names.map(step);
        read_back(&union(&[&a, &b]))
    };
    let (old, new) = (parts(["a", "b"]), parts(["c", "d"]));
    assert!(old.is_joined() && new.is_joined());
    let keys = |manifest: &CacheManifest| -> HashSet<String> {
        manifest.config().records.iter().map(|record| record.key.to_string()).collect()
    };
    assert!(keys(&old).is_disjoint(&keys(&new)));
    assert_eq!(union(&[&old, &new]).config().records.len(), 4);
}

/// One record with one result.
fn step(name: &str) -> CacheManifest {
    let layer = Descriptor::of(MediaType::OCI_LAYER, name.as_bytes());
    let diff_id = layer.digest;
    let layer = layer.with_annotation(annotation::UNCOMPRESSED, diff_id);
    let mut chains = CacheChains::new();
    let result = CacheResult::new(Timestamp::ZERO, vec![layer]);
    chains.add(CacheKey::content(Digest::sha256(name.as_bytes())), &[], vec![result]).unwrap();
    chains.to_manifest()
}

/// An image with the layers of both platforms gets records with one leaf, and is read without the joining record.
#[cfg(feature = "inline")]
#[tokio::test]
async fn inline_records_are_joined_too() {
    let manifest = read(&two_platforms()).await;
    let image: Vec<_> = manifest.blobs().iter().map(|blob| cache_inline::ImageLayer::new(blob.digest)).collect();
    let inline = cache_inline::InlineRecords::of(&manifest, &image).unwrap().unwrap();
    let records = CacheConfig::decode_records(&inline.encode()).unwrap();
    assert_eq!(leaves(&records), 1);
    let alone = records.len() - 1;
    let again = CacheManifest::new(CacheConfig { records, ..CacheConfig::default() }, Vec::<Descriptor>::new());
    assert_eq!((again.is_joined(), again.config().records.len()), (true, alone));
}
