//! Valid caches with real layers, generated at run time from a seed.

mod found;
mod layers;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use cache_core::graph::RecordId;
use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheLink, CacheManifest, CacheResult, Descriptor, Digest, MediaType,
    Timestamp, annotation,
};
use cache_memory::MemoryCache;

pub use self::found::{found, found_by};
pub use self::layers::{layer, tar_of};
use crate::random::Random;

/// A cache and the store of its blobs.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The graph.
    pub chains: CacheChains,
    /// Its manifest.
    pub manifest: CacheManifest,
    /// Its blobs, and nothing else.
    pub blobs: MemoryCache,
}

/// How large a generated cache is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many records there are.
    pub records: usize,
    /// How many of them form a chain before the next root; at least one.
    pub depth: usize,
    /// How many records other than roots have a result, each with one more layer than the one before.
    pub results: usize,
    /// The approximate size of a layer in bytes, before compression.
    pub layer_bytes: usize,
}

impl Default for Shape {
    /// A dozen records, five results.
    fn default() -> Self {
        Self { records: 12, depth: 4, results: 5, layer_bytes: 300 }
    }
}

/// Dozens of small blobs and a config of a few thousand bytes, with many points to interrupt at.
pub const MANY_BLOBS: Shape = Shape { records: 40, depth: 6, results: 24, layer_bytes: 100 };

/// A small cache.
#[must_use]
pub fn cache(seed: u64) -> Generated {
    cache_of(seed, Shape::default())
}

/// A cache of this shape, with at least one result unless the shape has none.
///
/// Some layers and keys are from pools that all seeds share, so that two caches have blobs and records in common.
#[must_use]
pub fn cache_of(seed: u64, shape: Shape) -> Generated {
    let mut random = Random::new(seed);
    let mut with_result: Vec<usize> = (0..shape.records).filter(|n| n % shape.depth.max(1) != 0).collect();
    random.shuffle(&mut with_result);
    with_result.truncate(shape.results);
    let (blobs, mut chains) = (MemoryCache::new(), CacheChains::new());
    let mut records: Vec<RecordId> = Vec::new();
    let mut chain: Vec<Descriptor> = Vec::new();
    for n in 0..shape.records {
        let is_root = n % shape.depth.max(1) == 0;
        if is_root {
            chain.clear();
        }
        let mut results = Vec::new();
        if with_result.contains(&n) {
            chain.push(stored_layer(&mut random, shape.layer_bytes, &blobs));
            results.push(CacheResult::new(time(&mut random), chain.clone()));
        }
        let inputs = if is_root { Vec::new() } else { inputs(&mut random, &records) };
        let key = if random.is_one_in(3) { key(&format!("shared {}", n % 9)) } else { key(&format!("{seed} {n}")) };
        records.extend(chains.add(key, &inputs, results).expect("inputs are of this graph"));
    }
    Generated { manifest: chains.to_manifest(), chains, blobs }
}

/// A cache with `blobs` results of one layer each, in order: a smaller one is a part of every larger one.
#[must_use]
pub fn wide(blobs: usize) -> Generated {
    let (store, mut chains) = (MemoryCache::new(), CacheChains::new());
    for n in 0..blobs {
        let digest = store.insert(format!("layer {n}"));
        let layer = Descriptor::of(MediaType::OCI_LAYER, format!("layer {n}").as_bytes())
            .with_annotation(annotation::UNCOMPRESSED, digest);
        let result = CacheResult::new(Timestamp::ZERO, vec![layer]);
        chains.add(key(&format!("wide {n}")), &[], vec![result]).expect("roots have no inputs");
    }
    Generated { manifest: chains.to_manifest(), chains, blobs: store }
}

/// A graph with few keys and many links, so that many records are merged; no blob exists.
///
/// Keys contain the depth of a record, so that no link closes a loop, not even in a union of tangles.
#[must_use]
pub fn tangle(seed: u64) -> CacheChains {
    tangled(seed, |level, random| format!("{level} {}", random.below(2)))
}

/// A tangle in which records have the keys of records far above them, so that links close loops.
#[must_use]
pub fn looping_tangle(seed: u64) -> CacheChains {
    tangled(seed, |level, random| format!("{} {}", level.min(1), random.below(3)))
}

fn tangled(seed: u64, name: fn(usize, &mut Random) -> String) -> CacheChains {
    let mut random = Random::new(seed);
    let mut chains = CacheChains::new();
    let mut levels: Vec<Vec<RecordId>> = vec![Vec::new(); 5];
    for n in 0..4 + random.below(14) {
        let level = if n == 0 { 0 } else { random.below(levels.len()) };
        let above: Vec<RecordId> = levels[..level].concat();
        let inputs: Vec<Vec<CacheLink>> = match above.is_empty() {
            true => Vec::new(),
            false => (0..1 + random.below(2)).map(|_| alternatives(&mut random, &above)).collect(),
        };
        let level = if inputs.is_empty() { 0 } else { level };
        let results: Vec<CacheResult> = (0..random.below(3)).map(|_| result(&mut random)).collect();
        let key = key(&name(level, &mut random));
        levels[level].extend(chains.add(key, &inputs, results).expect("inputs are of this graph"));
    }
    chains
}

fn alternatives(random: &mut Random, records: &[RecordId]) -> Vec<CacheLink> {
    (0..1 + random.below(3))
        .map(|_| CacheLink::with_selector(*random.pick(records), ["", "/"][random.below(2)]))
        .collect()
}

fn result(random: &mut Random) -> CacheResult {
    let layers = (0..1 + random.below(3)).map(|_| {
        let bytes = [random.below(4) as u8];
        Descriptor::of(MediaType::OCI_LAYER, &bytes).with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&bytes))
    });
    let layers = layers.collect();
    let created_at = Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(random.below(3) as u64));
    CacheResult::new(created_at, layers)
}

fn key(name: &str) -> CacheKey {
    CacheKey::output(Digest::sha256(name.as_bytes()), 0)
}

/// The previous record, and in some cases another alternative or another input.
fn inputs(random: &mut Random, records: &[RecordId]) -> Vec<Vec<CacheLink>> {
    let last = records[records.len() - 1];
    let mut inputs = vec![vec![link(random, last)]];
    if random.is_one_in(3) {
        let other = *random.pick(records);
        inputs[0].push(link(random, other));
    }
    if random.is_one_in(3) {
        let other = *random.pick(records);
        inputs.push(vec![link(random, other)]);
    }
    inputs
}

fn link(random: &mut Random, record: RecordId) -> CacheLink {
    match random.below(3) {
        0 => CacheLink::with_selector(record, Digest::sha256(b"/").to_string()),
        1 => CacheLink::with_selector(record, "/<&>"),
        _ => CacheLink::new(record),
    }
}

fn stored_layer(random: &mut Random, len: usize, blobs: &MemoryCache) -> Descriptor {
    let shared = random.below(6) as u64;
    let (descriptor, bytes) =
        if random.is_one_in(3) { layer(&mut Random::new(shared), len) } else { layer(random, len) };
    blobs.overwrite(descriptor.digest, bytes);
    descriptor
}

/// A random second of the year 2026.
fn time(random: &mut Random) -> Timestamp {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Timestamp::from(start + Duration::from_millis(random.below(31_536_000_000) as u64))
}

/// A config of `records` records in chains of `depth`, each with a result on top of the one before; no blob exists.
///
/// It is made without the graph, so that it is cheap, whatever its size.
#[must_use]
pub fn config_of(records: usize, depth: usize) -> CacheConfig {
    let below = |n: usize| if n.is_multiple_of(depth.max(1)) { -1 } else { n as i64 - 1 };
    let digest = |kind: &str, n: usize| Digest::sha256(format!("{kind} {n}").as_bytes());
    let layer = |n| CacheLayer { blob: digest("layer", n), parent: below(n), annotations: None };
    let record = |n| {
        let link = RecordLink { selector: String::new(), link: below(n) };
        let result = LayerResult { layer: n as i64, created_at: Timestamp::ZERO };
        CacheRecord {
            results: vec![result],
            chains: Vec::new(),
            key: CacheKey::from(digest("record", n)),
            inputs: if link.link == -1 { Vec::new() } else { vec![vec![link]] },
        }
    };
    CacheConfig { layers: (0..records).map(layer).collect(), records: (0..records).map(record).collect() }
}
