//! Selects the results that a mode exports, and resolves lazy layers.

use std::sync::Arc;

use async_trait::async_trait;
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::layers::LayerId;
use super::lookup::best;
use super::{CacheChains, StoredLayers};
use crate::error::Result;
use crate::graph::Mode;
use crate::model::{Descriptor, Digest};

/// Makes the layers of a result when an export needs them.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_core::graph::LazyLayers;
/// use cache_core::{CacheChains, CacheKey, CacheResult, Descriptor, Digest, MediaType, Mode, Result, Timestamp, annotation};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// struct Snapshot;
///
/// #[async_trait::async_trait]
/// impl LazyLayers for Snapshot {
///     async fn existing(&self) -> Result<Option<Vec<Descriptor>>> {
///         Ok(None)
///     }
///
///     async fn make(&self) -> Result<Vec<Descriptor>> {
///         let layer = Descriptor::of(MediaType::OCI_LAYER, b"a tar");
///         let diff_id = layer.digest;
///         Ok(vec![layer.with_annotation(annotation::UNCOMPRESSED, diff_id)])
///     }
/// }
///
/// let mut graph = CacheChains::new();
/// let result = CacheResult::lazy(Timestamp::now(), Arc::new(Snapshot));
/// graph.add(CacheKey::content(Digest::sha256(b"the sources")), &[], vec![result])?;
/// graph.select(Mode::Min).await?; // makes the layer, because the last step needs it
/// assert_eq!(graph.to_manifest().blobs().len(), 1);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait LazyLayers: Send + Sync {
    /// The layers, bottom first, if all of their blobs exist already; nothing is made.
    async fn existing(&self) -> Result<Option<Vec<Descriptor>>>;

    /// Makes the layers, bottom first; an empty list means that there is no result.
    async fn make(&self) -> Result<Vec<Descriptor>>;
}

/// How many lazy results are made at once.
const CONCURRENCY: usize = 4;

type Lazy = (u32, usize, Arc<dyn LazyLayers>);

impl CacheChains {
    /// Resolves the lazy results that `mode` needs, and keeps only the results that it exports. All records are kept.
    ///
    /// [`Mode::Max`] resolves all results. [`Mode::Min`] resolves those of the last steps (records with a result and no
    /// descendant with one), takes others whose blobs exist, and keeps a result only if all of its blobs are
    /// in the chain of one last step.
    ///
    /// # Errors
    /// The error of a [`LazyLayers`].
    pub async fn select(&mut self, mode: Mode) -> Result<()> {
        match mode {
            Mode::Max => self.make(|_| true).await?,
            Mode::Min => {
                let tops = self.tops();
                self.make(|record| tops.contains(&record)).await?;
                self.take_existing().await?;
                self.keep_results_of(&tops);
            }
        }
        Ok(())
    }

    /// Drops every result that needs one of `blobs`; all records are kept.
    pub fn drop_results_needing(&mut self, blobs: &std::collections::HashSet<Digest>) {
        let mut is_sound = vec![true; self.layers.len()];
        for layer in self.layers.all() {
            let is_parent_sound = self.layers.parent(layer).is_none_or(|parent| is_sound[parent.index()]);
            is_sound[layer.index()] = is_parent_sound && !blobs.contains(&self.layers.descriptor(layer).digest);
        }
        for record in &mut self.records {
            record.results.retain(|result| result.ready().is_none_or(|top| is_sound[top.index()]));
        }
    }

    async fn make(&mut self, wanted: impl Fn(u32) -> bool) -> Result<()> {
        let lazy = self.lazy_results().into_iter().filter(|(record, ..)| wanted(*record));
        let making: Vec<BoxFuture<'static, _>> = lazy.map(|lazy| make(lazy).boxed()).collect();
        let made: Vec<_> = stream::iter(making).buffer_unordered(CONCURRENCY).try_collect().await?;
        self.settle(made);
        Ok(())
    }

    async fn take_existing(&mut self) -> Result<()> {
        let looking: Vec<BoxFuture<'static, _>> =
            self.lazy_results().into_iter().map(|lazy| look(lazy).boxed()).collect();
        let found: Vec<_> = stream::iter(looking).buffer_unordered(CONCURRENCY).try_collect().await?;
        self.settle(found);
        self.records.iter_mut().for_each(|record| record.results.retain(super::StoredResult::is_ready));
        Ok(())
    }

    fn lazy_results(&self) -> Vec<Lazy> {
        let of_record = |(id, record): (u32, &super::Record)| {
            let lazy = record.results.iter().enumerate().filter_map(move |(at, result)| match &result.layers {
                StoredLayers::Lazy(layers) => Some((id, at, Arc::clone(layers))),
                StoredLayers::Ready(_) | StoredLayers::Empty => None,
            });
            lazy.collect::<Vec<_>>()
        };
        (0..).zip(&self.records).flat_map(of_record).collect()
    }

    fn settle(&mut self, made: Vec<(u32, usize, Vec<Descriptor>)>) {
        for (record, at, layers) in made {
            if let Some(top) = self.layers.chain(layers) {
                self.records[record as usize].results[at].layers = StoredLayers::Ready(top);
            }
        }
    }

    /// The records with a result and no descendant with one.
    fn tops(&self) -> HashSet<u32> {
        let mut has_result_below = vec![false; self.records.len()];
        let mut tops = HashSet::new();
        for id in self.in_order().into_iter().rev() {
            let record = &self.records[id as usize];
            let is_below = has_result_below[id as usize];
            if !is_below && !record.results.is_empty() {
                tops.insert(id);
            }
            if is_below || !record.results.is_empty() {
                record.inputs.iter().flatten().for_each(|from| has_result_below[from.record as usize] = true);
            }
        }
        tops
    }

    /// Drops every result that needs a blob which is not in the chain of one top.
    fn keep_results_of(&mut self, tops: &HashSet<u32>) {
        let mut with_blob: HashMap<u32, Vec<LayerId>> = HashMap::new();
        self.layers.all().for_each(|layer| with_blob.entry(self.layers.blob_of(layer)).or_default().push(layer));
        let top_layers: HashSet<LayerId> =
            tops.iter().filter_map(|&top| best(&self.records[top as usize].results)?.ready()).collect();
        let mut covered = vec![false; self.layers.len()];
        for top in top_layers {
            let blobs: HashSet<u32> = self.layers.down(top).map(|layer| self.layers.blob_of(layer)).collect();
            let mut layers: Vec<LayerId> = blobs.iter().flat_map(|blob| &with_blob[blob]).copied().collect();
            // A parent has a smaller number than its children, so it comes before them.
            layers.sort_unstable();
            let mut in_top = HashSet::new();
            for layer in layers {
                if self.layers.parent(layer).is_none_or(|parent| in_top.contains(&parent)) {
                    in_top.insert(layer);
                    covered[layer.index()] = true;
                }
            }
        }
        for record in &mut self.records {
            record.results.retain(|result| result.is_ready() && result.ready().is_none_or(|top| covered[top.index()]));
        }
    }
}

// These are functions and not closures, so that the futures of `select` can be spawned.
async fn make((record, at, layers): Lazy) -> Result<(u32, usize, Vec<Descriptor>)> {
    Ok((record, at, layers.make().await?))
}

async fn look((record, at, layers): Lazy) -> Result<(u32, usize, Vec<Descriptor>)> {
    Ok((record, at, layers.existing().await?.unwrap_or_default()))
}
