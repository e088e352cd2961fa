//! `buildcache.graph/v1`

use cache_core::{CacheManifest, Digest, MediaType, Timestamp};
use cache_ops::{Graph, GraphLayer, GraphRecord};
use serde::{Serialize, Serializer};

use super::tree;
use crate::output::Report;
use crate::report::digest_of;
use crate::text;

/// A cache as records and layers that name each other by their places.
#[derive(Debug)]
pub(super) struct Drawing {
    digest: Option<Digest>,
    graph: Graph,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GraphDocument<'a> {
    /// What this document is.
    schema: &'static str,
    /// The manifest.
    digest: Option<Digest>,
    /// The records, parents before children.
    #[serde(serialize_with = "one_by_one::<_, Record, _>")]
    #[cfg_attr(test, schemars(with = "Vec<Record>"))]
    records: &'a [GraphRecord],
    /// The layers, parents before children.
    #[serde(serialize_with = "one_by_one::<_, Layer, _>")]
    #[cfg_attr(test, schemars(with = "Vec<Layer>"))]
    layers: &'a [GraphLayer],
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Its key.
    key: String,
    /// For each input its alternatives.
    inputs: Vec<Vec<Link>>,
    /// Its result.
    result: Option<ResultReport>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Link {
    /// A place in `records`.
    record: usize,
    /// What of the result is taken.
    selector: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ResultReport {
    /// When it was made.
    created_at: Option<Timestamp>,
    /// Its top layer, a place in `layers`.
    layer: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Layer {
    /// Its blob.
    blob: Digest,
    /// The layer below it, a place in `layers`.
    parent: Option<usize>,
    /// Its media type.
    #[cfg_attr(test, schemars(with = "String"))]
    media_type: MediaType,
    /// Its size in bytes.
    size: u64,
    /// When it was made.
    created_at: Option<Timestamp>,
    /// What made it.
    description: Option<String>,
    /// How many results need it.
    results: usize,
}

impl Drawing {
    pub(super) fn new(manifest: &CacheManifest, graph: Graph) -> Self {
        Self { digest: digest_of(manifest), graph }
    }
}

impl Serialize for Drawing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Graph { records, layers, .. } = &self.graph;
        GraphDocument { schema: "buildcache.graph/v1", digest: self.digest, records, layers }.serialize(serializer)
    }
}

/// Converts elements one by one while they are written. All at once would take as much memory as the graph.
fn one_by_one<'a, T, U: From<&'a T> + Serialize, S: Serializer>(
    all: &&'a [T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(U::from))
}

impl From<&GraphRecord> for Record {
    fn from(record: &GraphRecord) -> Self {
        let link = |link: &cache_ops::GraphLink| Link { record: link.record, selector: link.selector.clone() };
        let result = record.result.as_ref();
        Self {
            key: record.key.to_string(),
            inputs: record.inputs.iter().map(|input| input.iter().map(link).collect()).collect(),
            result: result.map(|result| ResultReport { created_at: text::known(result.created_at), layer: result.top }),
        }
    }
}

impl From<&GraphLayer> for Layer {
    fn from(layer: &GraphLayer) -> Self {
        Self {
            blob: layer.blob,
            parent: layer.parent,
            media_type: layer.media_type.clone(),
            size: layer.size,
            created_at: layer.created_at.and_then(text::known),
            description: layer.description.clone(),
            results: layer.results,
        }
    }
}

impl Report for Drawing {
    fn table(&self, now: Timestamp, all: bool) -> String {
        tree::draw(&self.graph, now, all)
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}
