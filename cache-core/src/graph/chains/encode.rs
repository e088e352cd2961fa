//! Encodes the graph as a config: deterministic, and with BuildKit's bytes wherever BuildKit's own order is determined.

use std::cmp::Ordering;
use std::sync::Arc;

use super::layers::LayerId;
use super::lookup::best;
use super::{Alternative, CacheChains, Record};
use crate::manifest::{CacheConfig, CacheLayer, CacheManifest, CacheRecord, ChainResult, LayerResult, RecordLink};
use crate::model::{Descriptor, Digest, Timestamp};

impl CacheChains {
    /// Makes the manifest of this graph: every record with its newest result, and the layers that the results need.
    ///
    /// Equal graphs give equal bytes. Layers are sorted by their blob, then by the layers below them; records by their
    /// key, then by their inputs. Layer media types become OCI's. Lazy results that are not resolved are left out:
    /// [`select`](Self::select) resolves them.
    #[must_use]
    pub fn to_manifest(&self) -> CacheManifest {
        let (layers, layer_index) = self.sorted_layers();
        let (records, record_index) = self.sorted_records();
        let config = CacheConfig {
            layers: layers.iter().map(|&layer| self.encode_layer(layer, &layer_index)).collect(),
            records: records.iter().map(|&record| self.encode_record(record, &record_index, &layer_index)).collect(),
        };
        CacheManifest::new(config, layers.into_iter().map(|layer| to_oci(self.layers.descriptor(layer))))
    }

    fn encode_layer(&self, layer: LayerId, index: &[usize]) -> CacheLayer {
        let parent = self.layers.parent(layer).map_or(-1, |parent| number(index[parent.index()]));
        CacheLayer { blob: self.layers.descriptor(layer).digest, parent, annotations: None }
    }

    fn encode_record(&self, id: u32, record_index: &[usize], layer_index: &[usize]) -> CacheRecord {
        let record = &self.records[id as usize];
        let best = best(&record.results);
        let result = best.and_then(|result| {
            Some(LayerResult { layer: number(layer_index[result.ready()?.index()]), created_at: result.created_at })
        });
        let empty = best.filter(|result| result.ready().is_none());
        let empty = empty.map(|result| ChainResult { layers: Vec::new(), created_at: result.created_at });
        let inputs = record.inputs.iter().map(|input| {
            let mut links: Vec<RecordLink> = input
                .iter()
                .map(|from| RecordLink {
                    selector: self.selectors.get(from.selector).to_string(),
                    link: number(record_index[from.record as usize]),
                })
                .collect();
            links.sort_unstable_by(|a, b| a.link.cmp(&b.link).then_with(|| a.selector.cmp(&b.selector)));
            links
        });
        CacheRecord {
            results: result.into_iter().collect(),
            chains: empty.into_iter().collect(),
            key: self.keys.get(record.key).clone(),
            inputs: inputs.collect(),
        }
    }

    /// A digest over a record's key and inputs, and so over everything above it when `above` answers such digests.
    pub(super) fn digest_above(&self, id: u32, above: impl Fn(&Alternative) -> Option<Digest>) -> Digest {
        let mut digester = crate::model::Digester::sha256();
        let record = &self.records[id as usize];
        digester.update(self.keys.get(record.key).to_string().as_bytes());
        for input in &record.inputs {
            digester.update(&count(input.len()).to_le_bytes());
            let selector = |from: &Alternative| self.selectors.get(from.selector);
            let mut sorted: Vec<_> = input.iter().map(|from| (selector(from), above(from))).collect();
            sorted.sort_unstable();
            for (selector, above) in sorted {
                digester.update(selector.as_bytes());
                digester.update(&[0]);
                digester.update(above.as_ref().map_or(&[][..], Digest::as_bytes));
            }
        }
        digester.finish()
    }

    /// The layers that the best results need, sorted, and the place of each.
    fn sorted_layers(&self) -> (Vec<LayerId>, Vec<usize>) {
        let mut needed = vec![false; self.layers.len()];
        for record in self.records.iter().filter(|record| record.merged_into.is_none()) {
            let top = best(&record.results).and_then(super::StoredResult::ready);
            for layer in top.into_iter().flat_map(|top| self.layers.down(top)) {
                if std::mem::replace(&mut needed[layer.index()], true) {
                    break;
                }
            }
        }
        let order = LayerOrder::new(self, &needed);
        // The digests are stored beside the layers, so that sorting stays within the processor's cache.
        let keyed = self.layers.all().filter(|layer| needed[layer.index()]);
        let mut keyed: Vec<(Digest, LayerId)> =
            keyed.map(|layer| (self.layers.descriptor(layer).digest, layer)).collect();
        keyed.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| order.compare_below(*x, *y)));
        let sorted: Vec<LayerId> = keyed.into_iter().map(|(_, layer)| layer).collect();
        let mut index = vec![usize::MAX; self.layers.len()];
        for (at, layer) in sorted.iter().enumerate() {
            index[layer.index()] = at;
        }
        (sorted, index)
    }

    /// The records, sorted, and the place of each.
    fn sorted_records(&self) -> (Vec<u32>, Vec<usize>) {
        let mut sorted = self.in_order();
        let order = RecordOrder::new(self, &sorted);
        sorted.sort_by_cached_key(|&record| order.rank(record));
        let mut index = vec![usize::MAX; self.records.len()];
        for (at, &record) in sorted.iter().enumerate() {
            index[record as usize] = at;
        }
        (sorted, index)
    }
}

fn to_oci(layer: &Arc<Descriptor>) -> Arc<Descriptor> {
    let media_type = layer.media_type.to_oci();
    if media_type == layer.media_type {
        return Arc::clone(layer);
    }
    Arc::new(Descriptor { media_type, ..layer.as_ref().clone() })
}

fn number(index: usize) -> i64 {
    i64::try_from(index).expect("an index into a vector fits")
}

/// Layers by blob; BuildKit then compares places that its map order made, so only "no parent first" is determined, and
/// the rest goes by the whole chain below.
struct LayerOrder<'a> {
    chains: &'a CacheChains,
    /// A digest over the chain of each layer, only where two layers share a blob.
    below: Vec<Option<Digest>>,
}

impl<'a> LayerOrder<'a> {
    fn new(chains: &'a CacheChains, needed: &[bool]) -> Self {
        let mut below = vec![None; chains.layers.len()];
        let mut uses = vec![0_u32; chains.layers.len()];
        let is_needed = |layer: &LayerId| needed[layer.index()];
        chains.layers.all().filter(is_needed).for_each(|layer| uses[chains.layers.blob_of(layer) as usize] += 1);
        if uses.iter().any(|&uses| uses > 1) {
            // A parent stands before its children, so one pass reaches every chain.
            for layer in chains.layers.all().filter(is_needed) {
                let parent = chains.layers.parent(layer).and_then(|parent| below[parent.index()]);
                below[layer.index()] = Some(chain_digest(&chains.layers.descriptor(layer).digest, parent));
            }
        }
        Self { chains, below }
    }

    /// Orders two layers of one blob.
    fn compare_below(&self, a: LayerId, b: LayerId) -> Ordering {
        let layers = &self.chains.layers;
        let parent_blob = |layer| layers.parent(layer).map(|parent| layers.descriptor(parent).digest);
        let chain = |layer: LayerId| self.below[layer.index()];
        parent_blob(a).cmp(&parent_blob(b)).then_with(|| chain(a).cmp(&chain(b)))
    }
}

fn chain_digest(blob: &Digest, parent: Option<Digest>) -> Digest {
    let mut digester = crate::model::Digester::sha256();
    digester.update(blob.as_bytes());
    digester.update(parent.as_ref().map_or(&[][..], Digest::as_bytes));
    digester.finish()
}

/// Records by key, number of inputs, number of alternatives, selectors and keys linked to, as BuildKit compares them;
/// then by everything above them and by their results, which BuildKit leaves to chance.
struct RecordOrder<'a> {
    chains: &'a CacheChains,
    /// The place of each key in the order of keys.
    keys: Vec<u32>,
    /// The place of each selector in the order of selectors.
    selectors: Vec<u32>,
    /// How many records have each key.
    uses: Vec<u32>,
    /// A digest over everything above each record, only where two records share a key.
    above: Vec<Option<Digest>>,
}

/// The key's place; for a shared key the inputs, everything above, and the newest result.
type Rank = (u32, Option<(Vec<u32>, Option<Digest>, Option<Timestamp>)>);

impl<'a> RecordOrder<'a> {
    fn new(chains: &'a CacheChains, in_order: &[u32]) -> Self {
        let keys = places(chains.keys.values());
        let selectors = places(chains.selectors.values());
        let uses = vec![0_u32; chains.keys.len()];
        let mut order = Self { chains, keys, selectors, uses, above: Vec::new() };
        in_order.iter().for_each(|&record| order.uses[chains.records[record as usize].key as usize] += 1);
        if order.uses.iter().any(|&uses| uses > 1) {
            order.above = vec![None; chains.records.len()];
            for &record in in_order {
                order.above[record as usize] = Some(order.digest_above(record));
            }
        }
        order
    }

    fn record(&self, id: u32) -> &Record {
        &self.chains.records[id as usize]
    }

    /// The sort key of a record; for a record with a unique key, that key alone.
    fn rank(&self, id: u32) -> Rank {
        let key = self.record(id).key as usize;
        let shared = (self.uses[key] > 1).then(|| (self.shape(id), self.above[id as usize], self.newest(id)));
        (self.keys[key], shared)
    }

    /// Numbers in BuildKit's order of inputs.
    fn shape(&self, id: u32) -> Vec<u32> {
        let inputs = &self.record(id).inputs;
        let mut shape = vec![count(inputs.len())];
        for input in inputs {
            shape.push(count(input.len()));
            let key = |from: &Alternative| self.keys[self.record(from.record).key as usize];
            let mut pairs: Vec<(u32, u32)> =
                input.iter().map(|from| (self.selectors[from.selector as usize], key(from))).collect();
            pairs.sort_unstable();
            shape.extend(pairs.into_iter().flat_map(|(selector, key)| [selector, key]));
        }
        shape
    }

    fn digest_above(&self, id: u32) -> Digest {
        self.chains.digest_above(id, |from| self.above[from.record as usize])
    }

    fn newest(&self, id: u32) -> Option<Timestamp> {
        best(&self.record(id).results).map(|result| result.created_at)
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// For each value its place when they are sorted.
fn places<T: Ord + Clone>(values: &[T]) -> Vec<u32> {
    let mut sorted: Vec<(T, u32)> = values.iter().cloned().zip(0..).collect();
    sorted.sort_unstable();
    let mut places = vec![0; values.len()];
    for (place, (_, id)) in (0..).zip(sorted) {
        places[id as usize] = place;
    }
    places
}
