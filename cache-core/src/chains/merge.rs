//! The union of several caches.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Alternative, CacheChains, StoredLayers, StoredResult};
use crate::Result;

impl CacheChains {
    /// Adds everything that is in `other`, and makes records one that are the same.
    ///
    /// Every lookup that hits in either graph hits in the union. The order of merging does not change the bytes, but for
    /// parts whose links close a loop together: one of the links has to go, and which one depends on the order. Merging a
    /// graph into itself changes nothing but what
    /// [`normalize`](Self::normalize) does.
    ///
    /// # Errors
    /// None today; a graph that cannot be merged would be reported here.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let mut ids = vec![u32::MAX; other.records.len()];
        let mut tops = vec![None; other.layers.len()];
        for layer in other.layers.all() {
            let blob = self.layers.blob(Arc::clone(other.layers.descriptor(layer)));
            let parent = other.layers.parent(layer).and_then(|parent| tops[parent.index()]);
            tops[layer.index()] = Some(self.layers.layer(blob, parent));
        }
        for id in other.in_order() {
            let record = &other.records[id as usize];
            let inputs: Vec<Vec<Alternative>> = record
                .inputs
                .iter()
                .map(|input| input.iter().map(|from| self.adopt(other, *from, &ids)).collect())
                .collect();
            let key = self.keys.intern(other.keys.get(record.key).clone());
            let main = self.add_interned(key, &inputs);
            ids[id as usize] = main;
            for result in &record.results {
                let layers = match &result.layers {
                    StoredLayers::Ready(top) => tops[top.index()].map(StoredLayers::Ready),
                    lazy @ StoredLayers::Lazy(_) => Some(lazy.clone()),
                };
                if let Some(layers) = layers {
                    self.add_result(main, StoredResult { created_at: result.created_at, layers });
                }
            }
        }
        self.normalize();
        Ok(())
    }

    fn adopt(&mut self, other: &Self, from: Alternative, ids: &[u32]) -> Alternative {
        let selector = self.selectors.intern_str(other.selectors.get(from.selector));
        Alternative { record: self.find(ids[from.record as usize]), selector }
    }

    /// Makes records one that have the same key and share an alternative for every input, until none are left, and
    /// orders the results of each: the newest first, then the shorter chain, then by digest.
    pub fn normalize(&mut self) {
        while self.merge_pass() {}
        let layers = &self.layers;
        for record in &mut self.records {
            // Whole chains are compared where age and length are the same, and not kept: together they may be large.
            let blobs = |result: &StoredResult| {
                let chain = result.ready().into_iter().flat_map(|top| layers.down(top));
                chain.map(|layer| layers.descriptor(layer).digest)
            };
            let order =
                |result: &StoredResult| (Reverse(result.created_at), result.ready().map(|top| layers.depth(top)));
            record.results.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| blobs(a).cmp(blobs(b))));
        }
    }

    fn merge_pass(&mut self) -> bool {
        let mut merged = false;
        for id in self.in_order() {
            while self.records[id as usize].merged_into.is_none() && self.merge_one(id) {
                merged = true;
            }
        }
        merged
    }

    /// Merges one record into the oldest of those that are the same; false when there is none.
    fn merge_one(&mut self, id: u32) -> bool {
        let record = &self.records[id as usize];
        if record.inputs.is_empty() {
            return false;
        }
        let same = self.candidates(record.key, &record.inputs, Some(record.inputs.len()));
        same.into_iter().filter(|&other| other != id).any(|other| self.contract(other.min(id), other.max(id)))
    }
}
