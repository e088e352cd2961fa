//! `repair`, `optimize` and `diff` on random graphs and on caches of BuildKit.

use std::collections::HashSet;

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation, check,
};
use cache_memory::MemoryCache;
use cache_ops::{Depth, OptimizeOptions, Reason, RepairOptions, diff, graph, optimize, repair, verify};
use cache_tests::fixtures::{self, Fixture};
use cache_tests::graphs::{self, found, found_by};
use cache_tests::random::Random;

const SEEDS: std::ops::Range<u64> = 0..60;

/// The graph without the results that need one of the `lost` blobs.
fn without(manifest: &CacheManifest, lost: &HashSet<Digest>) -> CacheChains {
    let mut chains = CacheChains::from_manifest(manifest).unwrap();
    chains.drop_results_needing(lost);
    chains
}

/// How many records of `part` lead to a result, and how many of them are found in `whole`.
fn leading(part: &CacheChains, whole: &CacheChains) -> (usize, usize) {
    let leading = optimize(&part.to_manifest(), &OptimizeOptions::default()).unwrap().manifest;
    let leading = CacheChains::from_manifest(&leading).unwrap();
    (found(&leading, whole), leading.len())
}

#[tokio::test]
async fn damage_of_every_kind_is_repaired_and_the_rest_is_found_as_before() {
    damage_and_repair(3).await;
}

#[tokio::test]
async fn loops_through_several_records_are_repaired_and_the_rest_is_found_as_before() {
    damage_and_repair(4).await;
}

/// Repairs random caches with up to `kinds` kinds of wrong links, lost blobs and wrong descriptors.
async fn damage_and_repair(kinds: usize) {
    for seed in SEEDS {
        let cache = graphs::cache_of(seed, graphs::MANY_BLOBS);
        let mut random = Random::new(seed);
        let (config, blobs) = (cache.manifest.config(), cache.blobs.clone());
        let mut damaged = config.clone();
        let mut lost = HashSet::new();
        for _ in 0..1 + random.below(3) {
            let blob = random.pick(cache.manifest.blobs()).digest;
            match random.below(2) {
                0 => blobs.lose(&blob),
                _ => blobs.overwrite(blob, vec![b'?'; 77]),
            }
            lost.insert(blob);
        }
        for _ in 0..random.below(4) {
            let at = random.below(damaged.records.len());
            damage_links(&mut damaged, at, kinds, &mut random);
        }
        let described = cache.manifest.blobs().iter().map(|blob| {
            let mut blob = blob.as_ref().clone();
            match random.below(6) {
                0 => drop(blob.annotations.remove(annotation::UNCOMPRESSED)),
                1 => blob.size += 1,
                2 => blob.media_type = MediaType::from("application/x-unknown"),
                _ => {}
            }
            blob
        });
        let damaged = CacheManifest::new(damaged, described.collect::<Vec<_>>());
        let repaired = repair(&damaged, &blobs, RepairOptions::default()).await;
        let untouched = without(&cache.manifest, &lost);
        let Ok(repaired) = repaired else {
            assert!(untouched.to_manifest().is_empty(), "seed {seed}: {repaired:?}");
            continue;
        };
        let report = verify(&repaired.manifest, &blobs, Depth::Deep, 4).await.unwrap();
        assert_eq!(report.findings, [], "seed {seed}");
        let after = CacheChains::from_manifest(&repaired.manifest).unwrap();
        let (hits, all) = leading(&untouched, &after);
        assert_eq!(hits, all, "seed {seed}");
    }
}

/// Adds links that dangle or close loops.
fn damage_links(config: &mut CacheConfig, at: usize, kinds: usize, random: &mut Random) {
    let count = config.records.len() as i64;
    let Some(input) = config.records[at].inputs.first_mut() else { return };
    let link = match random.below(kinds) {
        0 => count + 7,
        1 => -3,
        2 => at as i64,
        _ => {
            // A loop may be cut at an original link only if that one looks the same: here the child has no other
            // alternative.
            let hangs = |input: &Vec<RecordLink>| input.iter().all(|link| link.link == at as i64);
            let below = config.records.iter().position(|record| record.inputs.iter().any(hangs));
            let link = below.unwrap_or(at) as i64;
            config.records[at].inputs[0].push(RecordLink { selector: "back".to_owned(), link });
            return;
        }
    };
    input.push(RecordLink { selector: "nowhere".to_owned(), link });
}

#[tokio::test]
async fn an_empty_input_drops_the_record_and_its_children() {
    let cache = graphs::cache(5);
    let mut config = cache.manifest.config().clone();
    let at = config.records.iter().position(|record| !record.inputs.is_empty()).unwrap();
    config.records[at].inputs[0].clear();
    let key = config.records[at].key.clone();
    let damaged = CacheManifest::new(config, cache.manifest.blobs().iter().cloned());
    let repaired = repair(&damaged, &cache.blobs, RepairOptions::default().with_depth(Depth::Fast)).await.unwrap();
    assert_eq!(check(&repaired.manifest), []);
    assert!(repaired.dropped_records.contains(&key));
}

#[tokio::test]
async fn an_older_result_of_the_same_record_replaces_a_lost_one() {
    let (old, new) = (layer("old"), layer("new"));
    let store = MemoryCache::new();
    let _ = store.insert("old");
    let result = |layer, second: u8| LayerResult { layer, created_at: at(second) };
    let on = |blob: &Descriptor| CacheLayer { blob: blob.digest, parent: -1, annotations: None };
    let config = CacheConfig {
        layers: vec![on(&old), on(&new)],
        records: vec![root("source"), step("step", 0, vec![result(1, 9), result(0, 1)])],
    };
    let manifest = CacheManifest::new(config, [old.clone(), new]);
    let repaired = repair(&manifest, &store, RepairOptions::default()).await.unwrap();
    let after = repaired.manifest.config();
    let kept: Vec<_> = after.records.iter().flat_map(|record| &record.results).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!((after.layers[0].blob, kept[0].created_at), (old.digest, at(1)));
}

#[tokio::test]
async fn a_cache_with_nothing_sound_left_is_an_error() {
    let cache = graphs::cache(1);
    let error = repair(&cache.manifest, &MemoryCache::new(), RepairOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), cache_core::ErrorKind::NotFound);
}

#[tokio::test]
async fn caches_of_buildkit_are_sound_and_keep_their_bytes() {
    // The cache of two platforms has several leaves, which repair joins (see `leaves.rs`).
    let is_whole = |fixture: &Fixture| !fixture.name.contains("inline") && !fixture.name.contains("two-platforms");
    for fixture in fixtures::all().into_iter().filter(is_whole) {
        for (_, entry) in fixture.entries() {
            let manifest = fixture.load(fixture.document(&entry.digest)).await;
            let repaired = repair(&manifest, &fixture, RepairOptions::default()).await.unwrap();
            assert!(!repaired.is_changed(), "{}: {:?}", fixture.name, repaired.findings);
            let kept = repaired.manifest.raw_manifest().map(|document| document.bytes.clone());
            assert_eq!(kept, manifest.raw_manifest().map(|document| document.bytes.clone()), "{}", fixture.name);
            let optimized = optimize(&manifest, &OptimizeOptions::importable()).unwrap();
            assert!(optimized.after.config <= optimized.before.config, "{}", fixture.name);
            assert!(diff(&manifest, &manifest).unwrap().is_empty(), "{}", fixture.name);
        }
    }
}

#[test]
fn every_lookup_that_hit_before_optimizing_hits_after() {
    for seed in 0..300 {
        for chains in [graphs::cache(seed).chains, graphs::tangle(seed), graphs::looping_tangle(seed)] {
            let before = chains.to_manifest();
            let after = optimize(&before, &OptimizeOptions::default()).unwrap().manifest;
            let after = CacheChains::from_manifest(&after).unwrap();
            let before = CacheChains::from_manifest(&before).unwrap();
            // A build looks up some of the keys that it knows.
            let mut random = Random::new(seed);
            let leading = leading_records(&before);
            for _ in 0..4 {
                let choose = |input: Vec<cache_core::CacheLink>| vec![random.pick(&input).clone()];
                assert_eq!(found_by(&leading, &after, choose), leading.len(), "seed {seed}");
            }
        }
    }
}

/// The graph of records that lead to a result, made without the code under test.
fn leading_records(chains: &CacheChains) -> CacheChains {
    let manifest = chains.to_manifest();
    let config = manifest.config();
    let mut leads: Vec<bool> = config.records.iter().map(|record| !record.results.is_empty()).collect();
    for _ in 0..config.records.len() {
        for record in config.records.iter().enumerate().filter(|(n, _)| leads[*n]).map(|(_, r)| r).collect::<Vec<_>>() {
            record.inputs.iter().flatten().for_each(|link| leads[link.link as usize] = true);
        }
    }
    let kept: Vec<usize> = (0..leads.len()).filter(|&n| leads[n]).collect();
    let place = |link: i64| kept.iter().position(|&n| n as i64 == link).unwrap() as i64;
    let mut records: Vec<CacheRecord> = kept.iter().map(|&n| config.records[n].clone()).collect();
    records.iter_mut().flat_map(|r| &mut r.inputs).flatten().for_each(|link| link.link = place(link.link));
    let reduced = CacheConfig { layers: config.layers.clone(), records };
    CacheChains::from_manifest(&CacheManifest::new(reduced, manifest.blobs().iter().cloned())).unwrap()
}

/// The export of a busy shared daemon (moby/buildkit#7126): one Dockerfile that was built again and again with other
/// sources, and keys of other builds that lead to no result.
fn busy_daemon(builds: usize, steps: usize) -> (CacheManifest, CacheChains) {
    let mut config = CacheConfig::default();
    let mut described = Vec::new();
    let mut newest = Vec::new();
    for build in 0..builds {
        let mut below = config.records.len() as i64;
        config.records.push(root(&format!("sources {build}")));
        let mut parent = -1;
        newest = vec![config.records.len() - 1];
        for n in 0..steps {
            let blob = layer(&format!("{build} {n}"));
            config.layers.push(CacheLayer { blob: blob.digest, parent, annotations: None });
            parent = config.layers.len() as i64 - 1;
            described.push(blob);
            let created_at = format!("2026-10-{:02}T00:{n:02}:00Z", 1 + build * 27 / builds).parse().unwrap();
            config.records.push(step(&format!("step {n}"), below, vec![LayerResult { layer: parent, created_at }]));
            for dead in 0..3 {
                config.records.push(step(&format!("dead {build} {n} {dead}"), below, vec![]));
            }
            below = config.records.len() as i64 - 4;
            newest.push(below as usize);
        }
    }
    let last = config.records[newest[0]..].to_vec();
    let first = newest[0] as i64;
    let mut own = CacheConfig { layers: config.layers.clone(), records: last };
    own.records.iter_mut().flat_map(|r| &mut r.inputs).flatten().for_each(|link| link.link -= first);
    let own = CacheChains::from_manifest(&CacheManifest::new(own, described.iter().cloned())).unwrap();
    (CacheManifest::new(config, described), own)
}

#[test]
fn a_config_of_two_and_a_half_mebibytes_becomes_importable() {
    let (manifest, newest) = busy_daemon(215, 20);
    let before = manifest.encode(None).config.descriptor.size;
    assert!(before > 5 << 19, "{before}");
    let optimized = optimize(&manifest, &OptimizeOptions::importable()).unwrap();
    let encoded = optimized.manifest.encode(None);
    assert!(encoded.config.descriptor.size <= 1 << 20 && encoded.manifest.descriptor.size <= 1 << 20);
    let after = CacheChains::from_manifest(&optimized.manifest).unwrap();
    let (hits, all) = leading(&newest, &after);
    assert_eq!((hits, all), (21, 21));
    let small = optimize(&manifest, &OptimizeOptions::default().with_max_config_size(Some(64 << 10))).unwrap();
    assert!(!small.dropped.is_empty() && small.after.config <= 64 << 10);
    let after = CacheChains::from_manifest(&small.manifest).unwrap();
    assert_eq!(leading(&newest, &after), (21, 21));
    let newest_dropped = small.dropped.iter().map(|dropped| dropped.created_at).max().unwrap();
    let kept = small.manifest.config().records.iter().flat_map(|record| &record.results);
    assert!(kept.map(|result| result.created_at).max().unwrap() >= newest_dropped);
}

#[test]
fn a_limit_that_nothing_fits_is_an_error() {
    let (manifest, _) = busy_daemon(2, 3);
    let error = optimize(&manifest, &OptimizeOptions::default().with_max_config_size(Some(10))).unwrap_err();
    assert_eq!(error.kind(), cache_core::ErrorKind::LimitExceeded);
}

#[test]
fn a_changed_source_and_a_changed_step_have_different_reasons() {
    let build = |source: &str, command: &str| {
        let mut config = CacheConfig::default();
        let (base, copied) = (layer("base"), layer(source));
        config.layers.push(CacheLayer { blob: base.digest, parent: -1, annotations: None });
        config.layers.push(CacheLayer { blob: copied.digest, parent: 0, annotations: None });
        let result = |layer| vec![LayerResult { layer, created_at: at(1) }];
        config.records.push(root("image"));
        config.records.push(root(source));
        config.records.push(step(command, 0, result(0)));
        let mut copy = step("COPY", 2, result(1));
        copy.inputs.push(vec![RecordLink { selector: "/src".to_owned(), link: 1 }]);
        config.records.push(copy);
        CacheManifest::new(config, [base, copied.with_annotation(annotation::DESCRIPTION, "COPY . /src")])
    };
    let source = diff(&build("one", "RUN"), &build("two", "RUN")).unwrap();
    let [copy] = &source.diverging_a[..] else { panic!("{:?}", source.diverging_a) };
    assert_eq!((copy.reason, copy.record.key.clone()), (Reason::InputChanged, key("COPY")));
    assert_eq!(copy.record.description.as_deref(), Some("COPY . /src"));
    let shared: Vec<bool> = copy.inputs.iter().map(|input| input.is_shared).collect();
    assert_eq!(shared, [true, false]);
    let (here, there) = (&copy.inputs[1].here[0], &copy.inputs[1].there[0]);
    assert_eq!((&here.key, &*here.selector), (&key("one"), "/src"));
    assert_eq!((&there.key, &*there.selector), (&key("two"), "/src"));
    assert_eq!((source.only_a.records, source.only_a.results, source.only_a.layers.len()), (2, 1, 1));
    let command = diff(&build("one", "RUN a"), &build("one", "RUN b")).unwrap();
    let [run] = &command.diverging_a[..] else { panic!("{:?}", command.diverging_a) };
    assert_eq!((run.reason, &run.instead[0].key), (Reason::StepChanged, &key("RUN b")));
}

#[test]
fn a_cache_differs_from_its_union_with_another_by_what_the_other_adds() {
    for seed in SEEDS {
        let [a, b] = [seed, seed + 1].map(|seed| graphs::cache(seed).chains);
        let mut union = a.clone();
        union.merge(&b).unwrap();
        let differences = diff(&a.to_manifest(), &union.to_manifest()).unwrap();
        assert_eq!((differences.only_a.records, differences.only_a.layers.len()), (0, 0), "seed {seed}");
        assert_eq!(differences.diverging_a, [], "seed {seed}");
    }
}

#[test]
fn a_drawn_graph_has_every_record_and_every_layer_once() {
    for seed in SEEDS {
        let mut chains = graphs::cache(seed).chains;
        chains.normalize();
        let manifest = chains.to_manifest();
        let drawn = graph(&manifest).unwrap();
        assert_eq!(drawn.records.len(), manifest.config().records.len());
        assert_eq!(drawn.layers.len(), manifest.config().layers.len());
        for (n, record) in drawn.records.iter().enumerate() {
            assert!(record.inputs.iter().flatten().all(|link| link.record < n), "seed {seed}");
        }
        assert!(drawn.layers.iter().all(|layer| layer.results > 0), "seed {seed}");
        let dot = drawn.to_dot();
        assert_eq!(dot.matches("shape=cylinder").count(), drawn.layers.len());
        assert_eq!(dot.matches("shape=box").count(), drawn.records.len());
    }
}

/// Twenty times the depth that overflows the stack of this thread if every record takes one call.
#[test]
fn depth_costs_no_stack() {
    let run = || {
        let config = graphs::config_of(20_000, 20_000);
        let blobs = config.layers.iter().map(|layer| {
            Descriptor::new(MediaType::OCI_LAYER, layer.blob, 1).with_annotation(annotation::UNCOMPRESSED, layer.blob)
        });
        let manifest = CacheManifest::new(config.clone(), blobs.collect::<Vec<_>>());
        assert_eq!(graph(&manifest).unwrap().records.len(), 20_000);
        assert!(diff(&manifest, &manifest).unwrap().is_empty());
        assert_eq!(optimize(&manifest, &OptimizeOptions::default()).unwrap().after.records, 20_000);
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
}

fn key(name: &str) -> CacheKey {
    CacheKey::output(Digest::sha256(name.as_bytes()), 0)
}

fn layer(name: &str) -> Descriptor {
    let layer = Descriptor::of(MediaType::OCI_LAYER, name.as_bytes());
    let diff_id = layer.digest;
    layer.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

fn at(second: u8) -> Timestamp {
    format!("2026-11-23T07:40:{second:02}Z").parse().unwrap()
}

fn root(name: &str) -> CacheRecord {
    CacheRecord { key: key(name), ..CacheRecord::default() }
}

fn step(name: &str, below: i64, results: Vec<LayerResult>) -> CacheRecord {
    let inputs = vec![vec![RecordLink { selector: String::new(), link: below }]];
    CacheRecord { key: key(name), inputs, results, ..CacheRecord::default() }
}
