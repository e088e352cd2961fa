//! The rules of the graph: BuildKit's merging, the loop guard, lookup, modes, union.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::graph::Mode;
use crate::manifest::{CacheConfig, CacheLayer, CacheManifest, CacheRecord, ChainResult, LayerResult, RecordLink};
use crate::model::{Digest, MediaType, annotation};

fn key(name: &str) -> CacheKey {
    CacheKey::output(Digest::sha256(name.as_bytes()), 0)
}

fn layer(name: &str) -> Descriptor {
    let descriptor = Descriptor::of(MediaType::OCI_LAYER, name.as_bytes());
    let diff_id = descriptor.digest;
    descriptor.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

fn at(second: u8) -> Timestamp {
    format!("2026-11-23T07:40:{second:02}Z").parse().unwrap()
}

fn result(second: u8, layers: &[&str]) -> Vec<CacheResult> {
    vec![CacheResult::new(at(second), layers.iter().map(|name| layer(name)).collect())]
}

fn names(layers: &[Descriptor]) -> Vec<Digest> {
    layers.iter().map(|layer| layer.digest).collect()
}

fn digests(layers: &[&str]) -> Vec<Digest> {
    layers.iter().map(|name| Digest::sha256(name.as_bytes())).collect()
}

struct Graph(CacheChains);

impl Graph {
    fn new() -> Self {
        Self(CacheChains::new())
    }

    fn root(&mut self, name: &str) -> RecordId {
        self.0.add_root(key(name)).unwrap().unwrap()
    }

    fn add(&mut self, name: &str, inputs: &[&[RecordId]], results: Vec<CacheResult>) -> RecordId {
        let inputs: Vec<Vec<CacheLink>> =
            inputs.iter().map(|input| input.iter().map(|&record| CacheLink::new(record)).collect()).collect();
        self.0.add(key(name), &inputs, results).unwrap().unwrap()
    }

    fn bytes(&self) -> String {
        String::from_utf8(self.0.to_manifest().config().encode()).unwrap()
    }
}

#[test]
fn a_root_is_found_by_its_key_and_added_once() {
    let mut graph = Graph::new();
    let root = graph.root("a");
    assert_eq!(graph.root("a"), root);
    assert_eq!(graph.0.root(&key("a")), Some(root));
    assert_eq!(graph.0.root(&key("b")), None);
}

#[test]
fn a_random_key_is_never_stored() {
    let mut chains = CacheChains::new();
    assert_eq!(chains.add_root(CacheKey::from("random:x")).unwrap(), None);
    assert!(chains.is_empty());
}

#[test]
fn an_input_without_alternatives_is_refused() {
    let error = CacheChains::new().add(key("a"), &[vec![]], vec![]).unwrap_err();
    assert_eq!(error.to_string(), format!("empty dependency for {}", key("a")));
}

#[test]
fn a_record_of_another_graph_is_refused() {
    let mut one = Graph::new();
    one.root("a");
    let foreign = one.root("b");
    let mut other = Graph::new();
    other.root("a");
    let error = other.0.add(key("c"), &[vec![CacheLink::new(foreign)]], vec![]).unwrap_err();
    assert!(error.to_string().contains("is not part of the same cache chain"), "{error}");
}

#[test]
fn a_record_that_shares_an_alternative_for_every_input_is_the_same() {
    let mut graph = Graph::new();
    let (a, b, c) = (graph.root("a"), graph.root("b"), graph.root("c"));
    let first = graph.add("step", &[&[a], &[c]], vec![]);
    let second = graph.add("step", &[&[a, b], &[c]], vec![]);
    assert_eq!(graph.0.find(first.0), graph.0.find(second.0));
    assert_eq!(graph.0.inputs(first)[0].len(), 2);
    let other = graph.add("step", &[&[b], &[a]], vec![]);
    assert_ne!(graph.0.find(first.0), graph.0.find(other.0));
}

#[test]
fn records_with_other_numbers_of_inputs_stay_apart() {
    let mut graph = Graph::new();
    let (a, b) = (graph.root("a"), graph.root("b"));
    let two = graph.add("step", &[&[a], &[b]], vec![]);
    let one = graph.add("step", &[&[a]], vec![]);
    assert_ne!(graph.0.find(one.0), graph.0.find(two.0));
}

#[test]
fn alternatives_with_other_selectors_differ() {
    let mut graph = Graph::new();
    let a = graph.root("a");
    let whole = graph.add("step", &[&[a]], vec![]);
    let part = graph.0.add(key("step"), &[vec![CacheLink::with_selector(a, "x")]], vec![]).unwrap().unwrap();
    assert_ne!(graph.0.find(whole.0), graph.0.find(part.0));
    assert_eq!(graph.0.lookup(&key("step"), &[vec![CacheLink::with_selector(a, "x")]]), [part]);
    assert_eq!(graph.0.lookup(&key("step"), &[vec![CacheLink::with_selector(a, "y")]]), []);
}

#[test]
fn a_record_that_joins_two_makes_them_one_with_the_children_of_both() {
    let mut graph = Graph::new();
    let (a, b) = (graph.root("a"), graph.root("b"));
    let one = graph.add("step", &[&[a]], result(1, &["x"]));
    let two = graph.add("step", &[&[b]], result(2, &["y"]));
    let child = graph.add("child", &[&[two]], result(3, &["y", "z"]));
    graph.add("step", &[&[a, b]], vec![]);
    assert_eq!(graph.0.len(), 4);
    assert_eq!(graph.0.lookup(&key("child"), &[vec![CacheLink::new(one)]]), [child]);
    assert_eq!(graph.0.hits(one).len(), 2);
}

#[test]
fn a_link_that_would_close_a_loop_is_dropped() {
    let mut graph = Graph::new();
    let a = graph.root("a");
    let parent = graph.add("parent", &[&[a]], vec![]);
    let child = graph.add("child", &[&[parent]], vec![]);
    graph.add("parent", &[&[a, child]], vec![]);
    assert_eq!(graph.0.inputs(parent), [vec![CacheLink::new(a)]]);
    CacheChains::from_manifest(&graph.0.to_manifest()).unwrap();
}

#[test]
fn records_that_depend_on_each_other_are_not_merged() {
    let mut graph = Graph::new();
    let a = graph.root("a");
    let first = graph.add("step", &[&[a]], vec![]);
    let second = graph.add("step", &[&[first]], vec![]);
    graph.add("step", &[&[a, first]], vec![]);
    graph.0.normalize();
    assert_ne!(graph.0.find(first.0), graph.0.find(second.0));
    CacheChains::from_manifest(&graph.0.to_manifest()).unwrap();
}

#[test]
fn every_input_has_to_match_and_any_alternative_will_do() {
    let mut graph = Graph::new();
    let (base, source, content) = (graph.root("base"), graph.root("source"), graph.root("content"));
    let step = graph.add("copy", &[&[base], &[source, content]], result(1, &["x"]));
    let link = |record| vec![CacheLink::new(record)];
    assert_eq!(graph.0.lookup(&key("copy"), &[link(base), link(content)]), [step]);
    assert_eq!(graph.0.lookup(&key("copy"), &[link(base), link(source)]), [step]);
    assert_eq!(graph.0.lookup(&key("copy"), &[link(base), link(base)]), []);
    assert_eq!(graph.0.lookup(&key("copy"), &[link(source), link(content)]), []);
    assert_eq!(graph.0.lookup(&key("none"), &[link(base), link(content)]), []);
}

#[test]
fn the_newest_result_is_the_hit_and_of_one_age_the_first() {
    let mut graph = Graph::new();
    let root = graph.root("a");
    let step = graph.add("step", &[&[root]], result(1, &["old"]));
    graph.add("step", &[&[root]], result(9, &["new"]));
    graph.add("step", &[&[root]], result(9, &["newer?"]));
    assert_eq!(names(&graph.0.hit(step).unwrap().layers), digests(&["new"]));
    let ages: Vec<Timestamp> = graph.0.hits(step).iter().map(|hit| hit.created_at).collect();
    assert_eq!(ages, [at(9), at(9), at(1)]);
}

#[test]
fn one_blob_on_two_parents_is_two_layers() {
    let mut graph = Graph::new();
    let root = graph.root("a");
    graph.add("one", &[&[root]], result(1, &["x"]));
    graph.add("two", &[&[root]], result(1, &["y", "x"]));
    let manifest = graph.0.to_manifest();
    assert_eq!((manifest.config().layers.len(), manifest.blobs().len()), (3, 2));
    let layers = &manifest.encode(None).manifest.bytes;
    assert_eq!(String::from_utf8_lossy(layers).matches("\"size\":1,").count(), 3);
}

#[test]
fn the_order_of_adding_does_not_change_the_bytes() {
    let build = |order: &[usize]| {
        let mut graph = Graph::new();
        let roots = [graph.root("a"), graph.root("b"), graph.root("c")];
        for &n in order {
            let under = roots[n % 3];
            let step = graph.add("same", &[&[under]], result(1, &[["x", "y", "z"][n % 3], "shared"]));
            graph.add("tail", &[&[step]], result(2, &[["x", "y", "z"][n % 3], "shared", "top"]));
        }
        graph.bytes()
    };
    let expected = build(&[0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(build(&order), expected);
    }
}

#[test]
fn merging_a_graph_into_itself_changes_nothing() {
    let mut graph = Graph::new();
    let (a, b) = (graph.root("a"), graph.root("b"));
    let step = graph.add("step", &[&[a, b]], result(1, &["x"]));
    graph.add("top", &[&[step], &[b]], result(2, &["x", "y"]));
    let before = graph.bytes();
    let copy = graph.0.clone();
    graph.0.merge(&copy).unwrap();
    assert_eq!(graph.bytes(), before);
}

#[test]
fn the_union_finds_what_either_side_finds_in_any_order() {
    let build = |source: &str, second| {
        let mut graph = Graph::new();
        let (base, source) = (graph.root("base"), graph.root(source));
        let copy = graph.add("copy", &[&[base], &[source]], result(second, &["base", "copied"]));
        graph.add("run", &[&[copy]], result(second, &["base", "copied", "built"]));
        graph.0
    };
    let (one, two) = (build("one", 1), build("two", 2));
    let mut ab = one.clone();
    ab.merge(&two).unwrap();
    let mut ba = two.clone();
    ba.merge(&one).unwrap();
    assert_eq!(ab.to_manifest().config().encode(), ba.to_manifest().config().encode());
    for source in ["one", "two"] {
        let link = |record| vec![CacheLink::new(record)];
        let (base, source) = (ab.root(&key("base")).unwrap(), ab.root(&key(source)).unwrap());
        let copy = ab.lookup(&key("copy"), &[link(base), link(source)]);
        assert_eq!(copy.len(), 1);
        assert_eq!(ab.lookup(&key("run"), &[link(copy[0])]).len(), 1);
    }
}

#[test]
fn records_that_become_the_same_are_made_one_down_the_graph() {
    let mut one = Graph::new();
    let a = one.root("a");
    let step = one.add("step", &[&[a]], vec![]);
    one.add("next", &[&[step]], result(1, &["x"]));
    let mut two = Graph::new();
    let b = two.root("b");
    let step = two.add("step", &[&[b]], vec![]);
    two.add("next", &[&[step]], result(2, &["y"]));
    let mut bridge = Graph::new();
    let (a, b) = (bridge.root("a"), bridge.root("b"));
    bridge.add("step", &[&[a, b]], vec![]);
    let mut union = one.0;
    union.merge(&two.0).unwrap();
    union.merge(&bridge.0).unwrap();
    assert_eq!(union.len(), 4);
}

#[tokio::test]
async fn min_keeps_the_results_whose_blobs_are_in_one_last_step() {
    let mut graph = Graph::new();
    let root = graph.root("a");
    let base = graph.add("base", &[&[root]], result(1, &["base"]));
    let side = graph.add("side", &[&[base]], result(1, &["base", "side"]));
    let linked = graph.add("linked", &[&[side]], result(1, &["linked"]));
    let top = graph.add("top", &[&[base], &[linked]], result(2, &["base", "linked"]));
    graph.0.select(Mode::Min).await.unwrap();
    let kept: Vec<bool> = [base, side, linked, top].iter().map(|&record| graph.0.hit(record).is_some()).collect();
    assert_eq!(kept, [true, false, true, true]);
    assert_eq!(graph.0.len(), 5);
}

struct Maker {
    layers: Vec<Descriptor>,
    made: Mutex<u32>,
    exists: bool,
}

impl Maker {
    fn new(layers: &[&str], exists: bool) -> Arc<Self> {
        Arc::new(Self { layers: layers.iter().map(|name| layer(name)).collect(), made: Mutex::new(0), exists })
    }
}

#[async_trait]
impl LazyLayers for Maker {
    async fn existing(&self) -> Result<Option<Vec<Descriptor>>> {
        Ok(self.exists.then(|| self.layers.clone()))
    }

    async fn make(&self) -> Result<Vec<Descriptor>> {
        *self.made.lock().unwrap() += 1;
        Ok(self.layers.clone())
    }
}

#[tokio::test]
async fn layers_are_made_only_when_the_mode_needs_them() {
    for (mode, made, kept) in [(Mode::Min, [0, 0, 1], [true, false, true]), (Mode::Max, [1, 1, 1], [true; 3])] {
        let makers = [Maker::new(&["a"], true), Maker::new(&["a", "b"], false), Maker::new(&["a", "c"], false)];
        let mut graph = Graph::new();
        let root = graph.root("root");
        let lazy = |n: usize| vec![CacheResult::lazy(at(1), Arc::clone(&makers[n]) as Arc<dyn LazyLayers>)];
        let first = graph.add("first", &[&[root]], lazy(0));
        let second = graph.add("second", &[&[first]], lazy(1));
        let top = graph.add("top", &[&[second]], lazy(2));
        graph.0.select(mode).await.unwrap();
        assert_eq!(makers.each_ref().map(|maker| *maker.made.lock().unwrap()), made, "{mode}");
        assert_eq!([first, second, top].map(|record| graph.0.hit(record).is_some()), kept, "{mode}");
    }
}

#[test]
fn a_result_that_needs_a_lost_blob_is_dropped_and_its_record_stays() {
    let mut graph = Graph::new();
    let root = graph.root("a");
    let low = graph.add("low", &[&[root]], result(1, &["x"]));
    let high = graph.add("high", &[&[low]], result(1, &["x", "y", "z"]));
    graph.0.drop_results_needing(&digests(&["y"]).into_iter().collect());
    assert_eq!((graph.0.hit(low).is_some(), graph.0.hit(high).is_some(), graph.0.len()), (true, false, 3));
}

fn record(name: &str, inputs: &[&[i64]]) -> CacheRecord {
    let link = |&link: &i64| RecordLink { selector: String::new(), link };
    let inputs = inputs.iter().map(|input| input.iter().map(link).collect()).collect();
    CacheRecord { key: key(name), inputs, ..CacheRecord::default() }
}

fn refusal(config: CacheConfig) -> String {
    let descriptors = config.layers.iter().map(|_| layer("x")).collect::<Vec<_>>();
    let error = CacheChains::from_manifest(&CacheManifest::new(config, descriptors)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    error.to_string()
}

#[test]
fn refusals_have_buildkits_messages() {
    let records = |records: Vec<CacheRecord>| refusal(CacheConfig { layers: vec![], records });
    assert_eq!(records(vec![record("a", &[&[1]]), record("b", &[&[0]])]), "invalid looping record (record=0)");
    assert_eq!(records(vec![record("a", &[&[0]])]), "invalid looping record (record=0)");
    assert_eq!(records(vec![record("a", &[&[7]])]), "invalid record ID: 7 (record=0)");
    assert_eq!(records(vec![record("a", &[&[-1]])]), "invalid record ID: -1 (record=0)");
    assert_eq!(records(vec![record("a", &[&[]])]), "invalid empty input for record 0");
    let layers = |parent, layer| {
        let layers = vec![CacheLayer { blob: Digest::sha256(b"x"), parent, annotations: None }];
        let results = vec![LayerResult { layer, created_at: at(1) }];
        refusal(CacheConfig { layers, records: vec![CacheRecord { results, ..record("a", &[]) }] })
    };
    assert_eq!(layers(-1, 1), "invalid layer index 1 (record=0)");
    assert_eq!(layers(-1, -1), "invalid layer index -1 (record=0)");
    assert_eq!(layers(4, 0), "invalid layer index 4 (layer=0, record=0)");
    assert_eq!(layers(-2, 0), "invalid layer index -2 (layer=0, record=0)");
    assert_eq!(layers(0, 0), "invalid looping layer (layer=0, record=0)");
}

#[test]
fn a_random_record_is_skipped_unless_something_links_to_it() {
    let random = CacheRecord { key: CacheKey::from("random:x"), ..CacheRecord::default() };
    let config = CacheConfig { layers: vec![], records: vec![random.clone(), record("a", &[])] };
    let chains = CacheChains::from_manifest(&CacheManifest::new(config, Vec::<Descriptor>::new())).unwrap();
    assert_eq!(chains.len(), 1);
    let config = CacheConfig { layers: vec![], records: vec![random, record("a", &[&[0]])] };
    assert_eq!(refusal(config), "record 1 links to a random key");
}

#[test]
fn a_result_with_an_undescribed_blob_is_dropped() {
    let layers = vec![CacheLayer { blob: Digest::sha256(b"x"), parent: -1, annotations: None }];
    let results = vec![LayerResult { layer: 0, created_at: at(1) }];
    let config = CacheConfig { layers, records: vec![CacheRecord { results, ..record("a", &[]) }] };
    let chains = CacheChains::from_manifest(&CacheManifest::new(config, Vec::<Descriptor>::new())).unwrap();
    let record = chains.root(&key("a")).unwrap();
    assert_eq!(chains.hit(record), None);
}

#[test]
fn explicit_chains_do_not_follow_parents() {
    let config = CacheConfig {
        layers: ["a", "b", "c"]
            .iter()
            .zip(-1..)
            .map(|(name, parent)| CacheLayer { blob: Digest::sha256(name.as_bytes()), parent, annotations: None })
            .collect(),
        records: vec![CacheRecord {
            chains: vec![ChainResult { layers: vec![2, 0], created_at: Timestamp::ZERO }],
            ..record("a", &[])
        }],
    };
    let manifest = CacheManifest::new(config, ["a", "b", "c"].map(layer));
    let chains = CacheChains::from_manifest(&manifest).unwrap();
    let hit = chains.hit(chains.root(&key("a")).unwrap()).unwrap();
    assert_eq!(names(&hit.layers), digests(&["c", "a"]));
}

#[test]
fn links_may_point_forward() {
    let config = CacheConfig { layers: vec![], records: vec![record("b", &[&[1]]), record("a", &[])] };
    let chains = CacheChains::from_manifest(&CacheManifest::new(config, Vec::<Descriptor>::new())).unwrap();
    let root = chains.root(&key("a")).unwrap();
    assert_eq!(chains.lookup(&key("b"), &[vec![CacheLink::new(root)]]).len(), 1);
    let keys: BTreeSet<&CacheKey> = chains.records().map(|record| chains.key(record)).collect();
    assert_eq!(keys.len(), 2);
}

/// A record graph as deep as a config can be: neither the stack nor the time may grow with its square.
#[test]
fn a_chain_of_a_million_records_and_layers_is_one_loop() {
    let count = 1_000_000_i64;
    let (blob, created_at) = (Digest::sha256(b"x"), at(1));
    let config = CacheConfig {
        layers: (0..count).map(|n| CacheLayer { blob, parent: n - 1, annotations: None }).collect(),
        records: (0..count)
            .map(|n| {
                let links: &[&[i64]] = if n == 0 { &[] } else { &[&[n - 1]] };
                CacheRecord { results: vec![LayerResult { layer: n, created_at }], ..record(&n.to_string(), links) }
            })
            .collect(),
    };
    let decoded = CacheConfig::decode(&config.encode()).unwrap();
    assert_eq!(decoded, config);
    let manifest = CacheManifest::new(decoded, [layer("x")]);
    let chains = CacheChains::from_manifest(&manifest).unwrap();
    assert_eq!(chains.len(), 1_000_000);
    let again = chains.to_manifest();
    assert_eq!((again.config().layers.len(), again.config().records.len()), (1_000_000, 1_000_000));
    assert_eq!(crate::graph::check(&again), []);
}
