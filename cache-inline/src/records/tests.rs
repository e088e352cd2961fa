//! The rules of BuildKit's `ExportForLayers`, and where ours differ.

use cache_core::graph::RecordId;
use cache_core::{CacheKey, CacheLink, CacheResult, ErrorKind, MediaType};

use super::*;

fn digest(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// A layer whose diff ID is that of `content`, in a compression of its own.
fn compressed(content: &str, compression: &str) -> Descriptor {
    let blob = format!("{content}.{compression}");
    Descriptor::of(MediaType::OCI_LAYER_GZIP, blob.as_bytes())
        .with_annotation(annotation::UNCOMPRESSED, digest(content))
}

fn layer(content: &str) -> Descriptor {
    compressed(content, "gz")
}

fn time(minute: u8) -> Timestamp {
    format!("2026-11-23T12:{minute:02}:08.5+05:30").parse().unwrap()
}

#[derive(Default)]
struct Build(CacheChains);

impl Build {
    /// Adds a step with one result.
    fn step(&mut self, key: &str, below: Option<RecordId>, minute: u8, layers: &[Descriptor]) -> RecordId {
        let results = match layers {
            [] => Vec::new(),
            _ => vec![CacheResult::new(time(minute), layers.to_vec())],
        };
        let inputs: Vec<Vec<CacheLink>> = below.map(|below| vec![CacheLink::new(below)]).into_iter().collect();
        self.0.add(digest(key).into(), &inputs, results).unwrap().unwrap()
    }

    fn records(&self, image: &[ImageLayer]) -> Option<InlineRecords> {
        InlineRecords::of(&self.0.to_manifest(), image).unwrap()
    }
}

fn image(layers: &[Descriptor]) -> Vec<ImageLayer> {
    layers.iter().map(|layer| ImageLayer::new(layer.digest)).collect()
}

fn results(records: &InlineRecords, key: &str) -> (Vec<LayerResult>, Vec<Vec<i64>>) {
    let key: CacheKey = digest(key).into();
    let record = records.records().iter().find(|record| record.key == key).expect("a record with that key");
    assert!(record.chains.iter().all(|chain| chain.created_at.is_zero()));
    (record.results.clone(), record.chains.iter().map(|chain| chain.layers.clone()).collect())
}

#[test]
fn the_lowest_layers_in_order_are_named_by_their_top() {
    let (a, b) = (layer("a"), layer("b"));
    let mut build = Build::default();
    let below = build.step("one", None, 1, std::slice::from_ref(&a));
    build.step("two", Some(below), 2, &[a.clone(), b.clone()]);
    let records = build.records(&image(&[a, b, layer("c")])).unwrap();
    assert_eq!(results(&records, "one"), (vec![LayerResult { layer: 0, created_at: time(1) }], vec![]));
    assert_eq!(results(&records, "two"), (vec![LayerResult { layer: 1, created_at: time(2) }], vec![]));
    assert_eq!(results(&records, "one").0[0].created_at.to_string(), "2026-11-23T12:01:08.5+05:30");
    assert_eq!(records.coverage(), Coverage { covered: 2, layers: 3 });
}

#[test]
fn other_layers_are_listed_without_a_time() {
    let (a, b, c) = (layer("a"), layer("b"), layer("c"));
    let mut build = Build::default();
    build.step("linked", None, 1, std::slice::from_ref(&c));
    build.step("swapped", None, 2, &[b.clone(), a.clone()]);
    build.step("longer", None, 3, &[a.clone(), b.clone(), c.clone(), a.clone()]);
    let records = build.records(&image(&[a, b, c])).unwrap();
    assert_eq!(results(&records, "linked"), (vec![], vec![vec![2]]));
    assert_eq!(results(&records, "swapped"), (vec![], vec![vec![1, 0]]));
    assert_eq!(results(&records, "longer"), (vec![], vec![vec![0, 1, 2, 0]]));
    assert_eq!(records.coverage(), Coverage { covered: 3, layers: 3 });
}

#[test]
fn a_blob_at_several_places_fits_each_and_is_listed_at_the_last() {
    let (a, empty) = (layer("a"), layer("empty"));
    let mut build = Build::default();
    build.step("in order", None, 1, &[empty.clone(), a.clone(), empty.clone()]);
    build.step("alone", None, 2, &[a.clone(), empty.clone()]);
    let records = build.records(&image(&[empty.clone(), a, empty])).unwrap();
    assert_eq!(results(&records, "in order").0, [LayerResult { layer: 2, created_at: time(1) }]);
    assert_eq!(results(&records, "alone").1, [[1, 2]]);
}

#[test]
fn a_layer_is_found_by_its_diff_id() {
    let mut build = Build::default();
    build.step("one", None, 1, &[compressed("a", "zstd")]);
    let known = ImageLayer::new(layer("a").digest).with_diff_id(DiffId(digest("a")));
    for image in [known, ImageLayer::new(digest("a"))] {
        assert_eq!(build.records(&[image]).unwrap().coverage().covered, 1);
    }
    assert!(build.records(&[ImageLayer::new(layer("a").digest)]).is_none());
}

#[test]
fn a_result_with_a_layer_that_the_image_lacks_is_left_out() {
    let (a, b) = (layer("a"), layer("b"));
    let mut build = Build::default();
    let below = build.step("one", None, 1, &[a.clone(), b]);
    build.step("two", Some(below), 2, std::slice::from_ref(&a));
    let records = build.records(&image(&[a])).unwrap();
    assert_eq!(results(&records, "one"), (vec![], vec![]));
    assert_eq!(results(&records, "two").0.len(), 1);
    assert!(build.records(&image(&[layer("c")])).is_none());
    assert!(build.records(&[]).is_none());
}

#[test]
fn records_that_lead_to_no_result_are_left_out_and_links_follow() {
    let a = layer("a");
    let mut build = Build::default();
    let source = build.step("source", None, 0, &[]);
    build.step("other platform", Some(source), 1, &[layer("b")]);
    let step = build.step("step", Some(source), 2, std::slice::from_ref(&a));
    build.step("checks", Some(step), 3, &[layer("report")]);
    let records = build.records(&image(&[a])).unwrap();
    let keys: BTreeSet<String> = records.records().iter().map(|record| record.key.to_string()).collect();
    assert_eq!(keys, ["source", "step"].map(|key| digest(key).to_string()).into());
    let linked = records.records().iter().flat_map(|record| record.inputs.iter().flatten());
    let linked: Vec<_> = linked.map(|link| &records.records()[usize::try_from(link.link).unwrap()].key).collect();
    assert_eq!(linked, [&CacheKey::from(digest("source"))]);
}

/// BuildKit takes this one for a result that became a list, and loses it.
#[test]
fn the_lowest_layer_alone_without_a_time_is_kept() {
    let a = layer("a");
    let mut chains = CacheChains::new();
    chains.add(digest("one").into(), &[], vec![CacheResult::new(Timestamp::ZERO, vec![a.clone()])]).unwrap();
    let records = InlineRecords::of(&chains.to_manifest(), &image(&[a])).unwrap().unwrap();
    assert_eq!(results(&records, "one").0, [LayerResult { layer: 0, created_at: Timestamp::ZERO }]);
}

#[test]
fn of_several_results_a_matching_one_is_used() {
    let a = layer("a");
    let mut build = Build::default();
    build.step("one", None, 1, std::slice::from_ref(&a));
    let mut manifest = build.0.to_manifest();
    let mut config = manifest.config().clone();
    config.layers.push(cache_core::manifest::CacheLayer { blob: layer("newer").digest, parent: -1, annotations: None });
    config.records[0].results.insert(0, LayerResult { layer: 1, created_at: time(9) });
    manifest = CacheManifest::new(config, [a.clone(), layer("newer")]);
    let records = InlineRecords::of(&manifest, &image(&[a])).unwrap().unwrap();
    assert_eq!(results(&records, "one").0, [LayerResult { layer: 0, created_at: time(1) }]);
}

#[test]
fn a_cache_that_is_no_graph_is_refused() {
    let record =
        CacheRecord { inputs: vec![vec![RecordLink { selector: String::new(), link: 7 }]], ..CacheRecord::default() };
    let config = CacheConfig { layers: Vec::new(), records: vec![record] };
    let error = InlineRecords::of(&CacheManifest::new(config, Vec::<Descriptor>::new()), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
}
