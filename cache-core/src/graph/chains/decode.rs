//! Builds the graph from a config, with every error for which BuildKit refuses an import.

use std::sync::Arc;

use super::layers::LayerId;
use super::{Alternative, CacheChains, StoredLayers, StoredResult};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::repeated::Repeated;
use crate::graph::walk;
use crate::manifest::{CacheConfig, CacheKey, CacheManifest, CacheRecord, RecordLink};
use crate::model::Descriptor;

impl CacheChains {
    /// Builds the graph of a manifest, and merges equal records as [`normalize`](Self::normalize) does.
    ///
    /// A result with a layer without a descriptor is left out, as in BuildKit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] with BuildKit's words: `invalid looping record`, `invalid record ID: N`,
    /// `invalid empty input for record N`, `invalid layer index N`, `invalid looping layer`; and for a link to a random
    /// key.
    pub fn from_manifest(manifest: &CacheManifest) -> Result<Self> {
        let order = dependencies_first(manifest.config())?;
        let mut chains = Decoder::new(manifest, Self::add_interned).decode(&order)?;
        if chains.has_cut {
            // What is dropped at a loop would depend on the order of the records.
            chains = Decoder::new(manifest, Self::add_apart).decode(&order)?;
            chains.normalize();
        } else if chains.has_joined {
            chains.normalize();
        }
        Ok(chains)
    }
}

/// Whether equal records link to each other, so that they form a loop when they are merged.
///
/// Records can only be equal if two of them share an alternative as they are written. If none do, which is nearly
/// always the case, the graph need not be built.
pub(crate) fn closes_loop(manifest: &CacheManifest) -> bool {
    let records = &manifest.config().records;
    if Repeated::new(records.iter().flat_map(first_alternatives), |alternative| alternative).is_empty() {
        return false;
    }
    let order = dependencies_first(manifest.config());
    let decoded = order.and_then(|order| Decoder::new(manifest, CacheChains::add_interned).decode(&order));
    decoded.is_ok_and(|chains| chains.has_cut)
}

/// How a record hangs on the alternatives of its first input; a record without inputs hangs on nothing.
fn first_alternatives(record: &CacheRecord) -> impl Iterator<Item = (&CacheKey, usize, Option<&RecordLink>)> {
    let arity = record.inputs.len();
    let first = record.inputs.first().map_or(&[][..], Vec::as_slice);
    let root = (arity == 0).then_some(None);
    first.iter().map(Some).chain(root).map(move |link| (&record.key, arity, link))
}

/// Adds a record, to others or on its own.
type Add = fn(&mut CacheChains, u32, &[Vec<Alternative>]) -> u32;

struct Decoder<'a> {
    manifest: &'a CacheManifest,
    add: Add,
    chains: CacheChains,
    /// The record in the graph for each record of the config; `None` for a random one.
    records: Vec<Option<u32>>,
    layers: Vec<LayerState>,
}

#[derive(Clone, Copy, PartialEq)]
enum LayerState {
    Unknown,
    InProgress,
    /// `None`: a blob in the chain has no descriptor.
    Known(Option<LayerId>),
}

impl<'a> Decoder<'a> {
    fn new(manifest: &'a CacheManifest, add: Add) -> Self {
        let config = manifest.config();
        Self {
            manifest,
            add,
            chains: CacheChains::with_capacity(config.records.len(), config.layers.len()),
            records: vec![None; config.records.len()],
            layers: vec![LayerState::Unknown; config.layers.len()],
        }
    }

    fn decode(mut self, order: &[usize]) -> Result<CacheChains> {
        for &record in order {
            self.record(record, &self.manifest.config().records[record])?;
        }
        Ok(self.chains)
    }

    fn record(&mut self, index: usize, record: &CacheRecord) -> Result<()> {
        let inputs = self.inputs(index, record)?;
        let mut results = Vec::with_capacity(record.results.len() + record.chains.len());
        let of_record = |error: Error| error.with("record", index);
        for result in &record.results {
            let top = self.chain_below(result.layer).map_err(of_record)?;
            results.push((result.created_at, top.map(StoredLayers::Ready)));
        }
        for chain in &record.chains {
            results.push((chain.created_at, self.explicit_chain(&chain.layers).map_err(of_record)?));
        }
        if record.key.is_random() {
            return Ok(());
        }
        let key = self.chains.keys.intern(record.key.clone());
        // Roots of one key are one in any case.
        let add = if inputs.is_empty() { CacheChains::add_interned } else { self.add };
        let id = add(&mut self.chains, key, &inputs);
        for (created_at, layers) in results {
            if let Some(layers) = layers {
                self.chains.add_result(id, StoredResult { created_at, layers });
            }
        }
        self.records[index] = Some(id);
        Ok(())
    }

    fn inputs(&mut self, index: usize, record: &CacheRecord) -> Result<Vec<Vec<Alternative>>> {
        let mut inputs = Vec::with_capacity(record.inputs.len());
        for input in &record.inputs {
            if input.is_empty() {
                return Err(invalid(format!("invalid empty input for record {index}")));
            }
            let mut alternatives = Vec::with_capacity(input.len());
            for link in input {
                let linked =
                    usize::try_from(link.link).ok().and_then(|linked| self.records.get(linked).copied().flatten());
                let linked = linked.ok_or_else(|| invalid(format!("record {index} links to a random key")))?;
                let selector = self.chains.selectors.intern_str(&link.selector);
                alternatives.push(Alternative { record: self.chains.find(linked), selector });
            }
            inputs.push(alternatives);
        }
        Ok(inputs)
    }

    /// The chain that ends in layer `top` of the config, by its parents. Layers below one without a descriptor are not
    /// read.
    fn chain_below(&mut self, top: i64) -> Result<Option<LayerId>> {
        let mut path = Vec::new();
        let mut at = top;
        let mut below = loop {
            if at == -1 && !path.is_empty() {
                break Some(None);
            }
            let index = self.layer_index(at).map_err(|error| match path.last() {
                Some(child) => error.with("layer", child),
                None => error,
            })?;
            match self.layers[index] {
                LayerState::Known(known) => break known.map(Some),
                LayerState::InProgress => return Err(invalid("invalid looping layer").with("layer", index)),
                LayerState::Unknown if self.described(index).is_none() => {
                    self.layers[index] = LayerState::Known(None);
                    break None;
                }
                LayerState::Unknown => {
                    self.layers[index] = LayerState::InProgress;
                    path.push(index);
                    at = self.manifest.config().layers[index].parent;
                }
            }
        };
        for index in path.into_iter().rev() {
            let layer = below.and_then(|parent| self.layer_on(index, parent));
            self.layers[index] = LayerState::Known(layer);
            below = layer.map(Some);
        }
        Ok(below.flatten())
    }

    /// The chain of these layers, up to one without a descriptor.
    fn explicit_chain(&mut self, layers: &[i64]) -> Result<Option<StoredLayers>> {
        let mut top = None;
        for &layer in layers {
            let index = self.layer_index(layer)?;
            top = self.layer_on(index, top);
            if top.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(top.map_or(StoredLayers::Empty, StoredLayers::Ready)))
    }

    fn layer_on(&mut self, index: usize, parent: Option<LayerId>) -> Option<LayerId> {
        let descriptor = self.described(index)?;
        let blob = self.chains.layers.blob(Arc::clone(descriptor));
        Some(self.chains.layers.layer(blob, parent))
    }

    fn described(&self, index: usize) -> Option<&'a Arc<Descriptor>> {
        self.manifest.descriptor(&self.manifest.config().layers[index].blob)
    }

    fn layer_index(&self, layer: i64) -> Result<usize> {
        let index = usize::try_from(layer).ok().filter(|&index| index < self.layers.len());
        index.ok_or_else(|| invalid(format!("invalid layer index {layer}")))
    }
}

/// The records of a config so that each stands after those it links to.
fn dependencies_first(config: &CacheConfig) -> Result<Vec<usize>> {
    let records = &config.records;
    let links = |record: usize| records[record].inputs.iter().flatten().map(|link| link.link);
    for record in 0..records.len() {
        let exists = |link: &i64| usize::try_from(*link).is_ok_and(|linked| linked < records.len());
        if let Some(link) = links(record).find(|link| !exists(link)) {
            return Err(invalid(format!("invalid record ID: {link}")).with("record", record));
        }
    }
    let walked = walk(records.len(), links);
    match walked.closing.first() {
        Some(record) => Err(invalid("invalid looping record").with("record", record)),
        None => Ok(walked.dependencies_first),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidManifest, message)
}
