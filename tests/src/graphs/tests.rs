//! Properties of every graph, tested on generated caches.

use cache_core::manifest::ManifestForm;
use cache_core::{CacheChains, CacheConfig, CacheManifest, Descriptor, MediaType, Mode, annotation, check};
use cache_ops::{Depth, verify};

use super::*;

const SEEDS: std::ops::Range<u64> = 0..50;

fn bytes(chains: &CacheChains) -> String {
    String::from_utf8(chains.to_manifest().config().encode()).expect("JSON is text")
}

fn union(caches: &[&CacheChains]) -> CacheChains {
    let mut union = CacheChains::new();
    caches.iter().for_each(|cache| union.merge(cache).unwrap());
    union
}

/// The same cache with its layers and records in another order.
fn shuffled(random: &mut Random, config: &CacheConfig) -> CacheConfig {
    let mut places = |len: usize| {
        let mut places: Vec<usize> = (0..len).collect();
        random.shuffle(&mut places);
        places
    };
    let (layers, records) = (places(config.layers.len()), places(config.records.len()));
    let moved = |places: &[usize], index: i64| usize::try_from(index).map_or(index, |index| places[index] as i64);
    let mut shuffled = config.clone();
    for (layer, &place) in config.layers.iter().zip(&layers) {
        shuffled.layers[place] = CacheLayer { parent: moved(&layers, layer.parent), ..layer.clone() };
    }
    for (record, &place) in config.records.iter().zip(&records) {
        let mut record = record.clone();
        record.results.iter_mut().for_each(|result| result.layer = moved(&layers, result.layer));
        record.inputs.iter_mut().flatten().for_each(|link| link.link = moved(&records, link.link));
        shuffled.records[place] = record;
    }
    shuffled
}

#[tokio::test]
async fn a_generated_cache_verifies_deeply() {
    for seed in SEEDS {
        let cache = cache(seed);
        let report = verify(&cache.manifest, &cache.blobs, Depth::Deep, 4).await.unwrap();
        assert_eq!(report.findings, [], "seed {seed}");
        assert!(!cache.manifest.is_empty());
    }
}

#[test]
fn equal_seeds_give_equal_caches_and_others_different_ones() {
    assert_eq!(bytes(&cache(7).chains), bytes(&cache(7).chains));
    assert_ne!(bytes(&cache(7).chains), bytes(&cache(8).chains));
}

#[test]
fn encoding_and_decoding_change_nothing() {
    for seed in SEEDS {
        let manifest = cache(seed).manifest;
        assert_eq!(CacheConfig::decode(&manifest.config().encode()).unwrap(), *manifest.config(), "seed {seed}");
        let again = CacheChains::from_manifest(&manifest).unwrap();
        assert_eq!(again.to_manifest().config(), manifest.config(), "seed {seed}");
    }
}

#[test]
fn the_order_of_layers_and_records_does_not_matter() {
    for seed in SEEDS {
        let manifest = cache(seed).manifest;
        let config = shuffled(&mut Random::new(seed), manifest.config());
        let shuffled = CacheManifest::new(config, manifest.blobs().iter().cloned());
        assert_eq!(check(&shuffled), [], "seed {seed}");
        let again = CacheChains::from_manifest(&shuffled).unwrap();
        assert_eq!(again.to_manifest().config(), manifest.config(), "seed {seed}");
    }
}

#[test]
fn the_union_does_not_depend_on_the_order_of_merging() {
    for seed in SEEDS {
        for make in [|seed| cache(seed).chains, tangle] {
            let [a, b, c] = [seed, seed + 1, seed + 2].map(make);
            let expected = bytes(&union(&[&a, &b, &c]));
            for order in [[&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]] {
                assert_eq!(bytes(&union(&order)), expected, "seed {seed}");
            }
            assert_eq!(bytes(&union(&[&a, &union(&[&b, &c])])), expected, "seed {seed}");
        }
    }
}

#[test]
fn merging_a_cache_with_itself_changes_nothing() {
    for seed in SEEDS {
        for make in [|seed| cache(seed).chains, tangle] {
            let cache = make(seed);
            let mut normal = cache.clone();
            normal.normalize();
            assert_eq!(bytes(&union(&[&cache, &cache])), bytes(&normal), "seed {seed}");
        }
    }
}

#[test]
fn the_union_of_looping_caches_does_not_depend_on_the_order_of_merging() {
    for seed in 0..500 {
        let [a, b] = [seed, seed + 1].map(looping_tangle);
        assert_eq!(bytes(&union(&[&a, &b])), bytes(&union(&[&b, &a])), "seed {seed}");
    }
}

#[test]
fn the_union_of_several_looping_caches_does_not_depend_on_their_order() {
    for seed in 0..200 {
        let parts = [seed, seed + 1, seed + 2, seed + 3].map(looping_tangle);
        let union = |order: [usize; 4]| {
            let mut union = CacheChains::new();
            union.merge_all(order.map(|n| &parts[n])).unwrap();
            bytes(&union)
        };
        let expected = union([0, 1, 2, 3]);
        for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [1, 3, 0, 2]] {
            assert_eq!(union(order), expected, "seed {seed}");
        }
    }
}

#[test]
fn no_single_way_to_a_record_is_lost_where_links_close_loops() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let [a, b] = [seed, seed + 1].map(looping_tangle);
        let union = union(&[&a, &b]);
        for part in [&a, &b] {
            assert_eq!(found_by(part, &union, |input| vec![random.pick(&input).clone()]), part.len(), "seed {seed}");
        }
    }
}

#[test]
fn the_order_of_records_does_not_matter_where_links_close_loops() {
    for seed in 0..200 {
        let [a, b] = [seed, seed + 1].map(|seed| looping_tangle(seed).to_manifest());
        let manifest = joined(&a, &b);
        let mut expected = CacheChains::from_manifest(&manifest).unwrap();
        expected.normalize();
        let config = shuffled(&mut Random::new(seed), manifest.config());
        let shuffled = CacheManifest::new(config, manifest.blobs().iter().cloned());
        let mut found = CacheChains::from_manifest(&shuffled).unwrap();
        found.normalize();
        assert_eq!(bytes(&found), bytes(&expected), "seed {seed}");
    }
}

/// Two configs one after the other, without merging.
fn joined(a: &CacheManifest, b: &CacheManifest) -> CacheManifest {
    let mut config = a.config().clone();
    let (layers, records) = (config.layers.len() as i64, config.records.len() as i64);
    let moved = |layer: i64| if layer == -1 { -1 } else { layer + layers };
    let own = b.config();
    config.layers.extend(own.layers.iter().map(|layer| CacheLayer { parent: moved(layer.parent), ..layer.clone() }));
    for record in &own.records {
        let mut record = record.clone();
        record.results.iter_mut().for_each(|result| result.layer = moved(result.layer));
        record.inputs.iter_mut().flatten().for_each(|link| link.link += records);
        config.records.push(record);
    }
    CacheManifest::new(config, a.blobs().iter().chain(b.blobs()).cloned())
}

#[test]
fn no_two_records_of_a_normal_graph_are_the_same() {
    for seed in 0..500 {
        let mut normal = looping_tangle(seed);
        normal.normalize();
        for record in normal.records() {
            let inputs = normal.inputs(record);
            let mut same = normal.lookup(normal.key(record), &inputs);
            same.retain(|&found| normal.inputs(found).len() == inputs.len());
            assert_eq!(same, [record], "seed {seed}");
        }
    }
}

#[test]
fn a_normal_graph_is_the_same_when_it_is_read_again() {
    for seed in 0..500 {
        let mut normal = looping_tangle(seed);
        normal.normalize();
        let again = CacheChains::from_manifest(&normal.to_manifest()).unwrap();
        assert_eq!(bytes(&again), bytes(&normal), "seed {seed}");
        assert_eq!(bytes(&union(&[&normal, &normal])), bytes(&normal), "seed {seed}");
    }
}

#[test]
fn no_lookup_is_lost_where_links_close_loops() {
    for seed in 0..500 {
        let [a, b] = [seed, seed + 1].map(looping_tangle);
        let union = union(&[&a, &b]);
        assert_eq!(check(&union.to_manifest()), [], "seed {seed}");
        assert_eq!((found(&a, &union), found(&b, &union)), (a.len(), b.len()), "seed {seed}");
    }
}

#[test]
fn every_lookup_that_hits_in_a_part_hits_in_the_union() {
    for seed in SEEDS {
        for make in [|seed| cache(seed).chains, tangle] {
            let [a, b] = [seed, seed + 1].map(make);
            let union = union(&[&a, &b]);
            for part in [&a, &b] {
                assert_eq!(found(part, &union), part.len(), "seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn min_keeps_every_record_and_only_results_that_max_keeps() {
    for seed in SEEDS {
        let cache = cache(seed);
        let (mut min, mut max) = (cache.chains.clone(), cache.chains.clone());
        min.select(Mode::Min).await.unwrap();
        max.select(Mode::Max).await.unwrap();
        assert_eq!(bytes(&max), bytes(&cache.chains), "seed {seed}");
        assert_eq!(min.len(), max.len(), "seed {seed}");
        let [min, max] = [&min, &max].map(|chains| chains.records().filter_map(|record| chains.hit(record)).count());
        assert!(0 < min && min <= max, "seed {seed}: {min} of {max}");
        let mut again = CacheChains::from_manifest(&cache.manifest).unwrap();
        again.select(Mode::Min).await.unwrap();
        let once = bytes(&again);
        again.select(Mode::Min).await.unwrap();
        assert_eq!(bytes(&again), once, "seed {seed}");
    }
}

#[test]
fn every_form_describes_every_layer_in_order() {
    for seed in SEEDS {
        let manifest = cache(seed).manifest;
        for form in [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList] {
            let encoded = manifest.encode(Some(form));
            let document: serde_json::Value = serde_json::from_slice(&encoded.manifest.bytes).unwrap();
            let list = if form == ManifestForm::ImageManifest { &document["layers"] } else { &document["manifests"] };
            let described = list.as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap().to_owned());
            let layers = manifest.config().layers.iter().map(|layer| layer.blob.to_string());
            let config = (form != ManifestForm::ImageManifest).then(|| encoded.config.descriptor.digest.to_string());
            assert!(described.eq(layers.chain(config)), "seed {seed}, {form:?}");
        }
    }
}

#[test]
fn the_flat_index_of_s3_keeps_the_graph() {
    for seed in SEEDS {
        let manifest = cache(seed).manifest;
        let flat = CacheManifest::decode_flat(manifest.encode_flat().unwrap()).unwrap();
        assert_eq!(flat.config().records, manifest.config().records, "seed {seed}");
        for blob in manifest.blobs() {
            let found = flat.descriptor(&blob.digest).unwrap();
            assert_eq!(
                (found.size, found.diff_id(), found.created_at()),
                (blob.size, blob.diff_id(), blob.created_at())
            );
        }
        let again = CacheChains::from_manifest(&flat).unwrap().to_manifest();
        assert_eq!(again.config(), manifest.config(), "seed {seed}");
    }
}

/// Twenty times the depth that overflows the stack of this thread if every record takes one call.
#[test]
fn depth_costs_no_stack() {
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let run = || {
        let config = config_of(20_000, 20_000);
        let layer = |layer: &CacheLayer| {
            Descriptor::new(MediaType::OCI_LAYER, layer.blob, 1).with_annotation(annotation::UNCOMPRESSED, layer.blob)
        };
        let descriptors: Vec<_> = config.layers.iter().map(layer).collect();
        let manifest = CacheManifest::new(CacheConfig::decode(&config.encode()).unwrap(), descriptors);
        assert_eq!(check(&manifest), []);
        let mut chains = CacheChains::from_manifest(&manifest).unwrap();
        assert_eq!(chains.to_manifest().config().records.len(), 20_000);
        chains.merge(&chains.clone()).unwrap();
        assert_eq!(chains.len(), 20_000);
    };
    small.spawn(run).unwrap().join().unwrap();
}
