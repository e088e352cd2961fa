//! `graph`: the records and layers of a cache, ready to be drawn.

mod dot;

use cache_core::{CacheKey, CacheManifest, Descriptor, Digest, MediaType, Result, Timestamp, annotation};

use crate::index::{Index, result};

/// A cache as a graph of records and layers; shared layers are in it once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Graph {
    /// The records, parents before children.
    pub records: Vec<GraphRecord>,
    /// The layers, parents before children.
    pub layers: Vec<GraphLayer>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphRecord {
    /// The key.
    pub key: CacheKey,
    /// For each input its alternatives; none for a root.
    pub inputs: Vec<GraphInput>,
    /// The records that have this one as an input, each once.
    pub children: Vec<usize>,
    /// The newest result.
    pub result: Option<GraphResult>,
}

/// The alternatives of an input.
pub type GraphInput = Vec<GraphLink>;

/// An alternative of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphLink {
    /// The record's place in [`Graph::records`].
    pub record: usize,
    /// Which part of it is used; opaque, empty for all of it.
    pub selector: String,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphResult {
    /// When it was made.
    pub created_at: Timestamp,
    /// The place of its top layer in [`Graph::layers`].
    pub top: usize,
}

/// A layer on top of another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphLayer {
    /// The blob.
    pub blob: Digest,
    /// The place of the layer below in [`Graph::layers`].
    pub parent: Option<usize>,
    /// The blob's media type.
    pub media_type: MediaType,
    /// The blob's size in bytes.
    pub size: u64,
    /// When the layer was made, if it is known.
    pub created_at: Option<Timestamp>,
    /// The step that made it, if it is known.
    pub description: Option<String>,
    /// How many results need it.
    pub results: usize,
}

/// Makes a graph of a cache.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) for a cache that BuildKit does not import.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, Digest};
/// use cache_ops::graph;
///
/// let mut chains = CacheChains::new();
/// chains.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
/// let drawn = graph(&chains.to_manifest())?;
/// assert_eq!(drawn.records.len(), 1);
/// # Ok::<(), cache_core::Error>(())
/// ```
pub fn graph(manifest: &CacheManifest) -> Result<Graph> {
    let index = Index::new(manifest)?;
    let order = layer_order(&index);
    let mut layer_places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &layer)| layer_places[layer] = place);
    let mut places = vec![0; index.records().len()];
    index.order.iter().enumerate().for_each(|(place, &n)| places[n] = place);
    let layers: Vec<GraphLayer> = order.iter().map(|&layer| graph_layer(&index, layer, &layer_places)).collect();
    let records = index.order.iter().map(|&n| graph_record(&index, n, &places, &layer_places)).collect();
    let mut graph = Graph { records, layers };
    graph.count_results();
    Ok(graph)
}

/// The layers, parents before children.
fn layer_order(index: &Index) -> Vec<usize> {
    let layers = &index.config().layers;
    let mut children = vec![Vec::new(); layers.len()];
    let mut order = Vec::with_capacity(layers.len());
    for (n, layer) in layers.iter().enumerate() {
        match usize::try_from(layer.parent).ok().filter(|&parent| parent < layers.len()) {
            Some(parent) => children[parent].push(n),
            None => order.push(n),
        }
    }
    let mut done = 0;
    while let Some(&layer) = order.get(done) {
        done += 1;
        order.extend(&children[layer]);
    }
    order
}

fn graph_layer(index: &Index, layer: usize, places: &[usize]) -> GraphLayer {
    let layer = &index.config().layers[layer];
    let descriptor = index.manifest.descriptor(&layer.blob).map(AsRef::as_ref);
    GraphLayer {
        blob: layer.blob,
        parent: usize::try_from(layer.parent).ok().and_then(|parent| places.get(parent).copied()),
        media_type: descriptor.map(|layer| layer.media_type.clone()).unwrap_or_default(),
        size: descriptor.map_or(0, |layer| layer.size),
        created_at: descriptor.and_then(Descriptor::created_at),
        description: descriptor.and_then(|layer| layer.annotations.get(annotation::DESCRIPTION).cloned()),
        results: 0,
    }
}

fn graph_record(index: &Index, n: usize, places: &[usize], layer_places: &[usize]) -> GraphRecord {
    let record = &index.records()[n];
    let place = |link: i64| usize::try_from(link).ok().and_then(|linked| places.get(linked).copied());
    let link = |link: &cache_core::manifest::RecordLink| {
        place(link.link).map(|record| GraphLink { record, selector: link.selector.clone() })
    };
    let mut children: Vec<usize> = index.children[n].iter().map(|&child| places[child]).collect();
    children.sort_unstable();
    let result =
        result(record).and_then(|(layer, created_at)| Some(GraphResult { created_at, top: *layer_places.get(layer)? }));
    let inputs = record.inputs.iter().map(|input| input.iter().filter_map(link).collect()).collect();
    GraphRecord { key: record.key.clone(), inputs, children, result }
}

impl Graph {
    /// A layer's results are those that end in it and those of the layers on top of it.
    fn count_results(&mut self) {
        for record in &self.records {
            if let Some(result) = &record.result {
                self.layers[result.top].results += 1;
            }
        }
        for layer in (0..self.layers.len()).rev() {
            if let Some(parent) = self.layers[layer].parent {
                self.layers[parent].results += self.layers[layer].results;
            }
        }
    }
}
