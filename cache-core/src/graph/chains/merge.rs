//! Merges several caches into one, and brings a cache into normal form.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::sync::Arc;

use super::closure::{Node, classes};
use super::layers::LayerId;
use super::{Alternative, CacheChains, StoredLayers, StoredResult, topology};
use crate::error::Result;

impl CacheChains {
    /// Adds everything in `other`, and merges equal records.
    ///
    /// Every lookup that hits in either graph hits in the union. The order of merging does not change the bytes, and
    /// merging a graph into itself changes nothing but what [`normalize`](Self::normalize) does. Where records are kept
    /// apart because of a loop, that holds for the graphs of one call: [`merge_all`](Self::merge_all) takes any number.
    ///
    /// ```
    /// use cache_core::{CacheChains, CacheKey, Digest};
    ///
    /// let build = |command: &[u8]| -> cache_core::Result<CacheChains> {
    ///     let mut chains = CacheChains::new();
    ///     chains.add_root(CacheKey::output(Digest::sha256(b"FROM alpine"), 0))?;
    ///     chains.add_root(CacheKey::output(Digest::sha256(command), 0))?;
    ///     Ok(chains)
    /// };
    /// let mut union = build(b"RUN make lint")?;
    /// union.merge(&build(b"RUN make test")?)?;
    /// assert_eq!(union.len(), 3);
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None today; reserved for graphs that cannot be merged.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.merge_all([other])
    }

    /// Adds everything in the `others`, whose order does not matter. They may be owned, and made one after the other:
    /// each is dropped before the next one is requested.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub fn merge_all<G: Borrow<Self>>(&mut self, others: impl IntoIterator<Item = G>) -> Result<()> {
        let mut nodes = self.take_nodes();
        for other in others {
            let adopted = self.adopt(other.borrow(), nodes.len());
            nodes.extend(adopted);
        }
        self.rebuild(&nodes);
        Ok(())
    }

    /// Merges records that have the same key and share an alternative for every input, until there are none, and sorts
    /// the results of each: the newest first, then by length of the chain, then by digest.
    ///
    /// If that would close a loop, the records of the loop are merged only as far as possible. A record that equals a
    /// record above it is merged into that one, and the inputs that lead back stay with a separate record, with the
    /// same results. Which link is cut depends only on the content of the records.
    pub fn normalize(&mut self) {
        let nodes = self.take_nodes();
        self.rebuild(&nodes);
    }

    /// Every record as a node. Links and results are taken out of the graph.
    fn take_nodes(&mut self) -> Vec<Node> {
        let mut places = vec![u32::MAX; self.records.len()];
        let live = (0..).zip(&self.records).filter(|(_, record)| record.merged_into.is_none());
        let live: Vec<u32> = live.map(|(id, _)| id).collect();
        for (place, &id) in (0..).zip(&live) {
            places[id as usize] = place;
        }
        self.links.clear();
        self.below.clear();
        let node = |&id: &u32| {
            let record = &mut self.records[id as usize];
            record.children = Vec::new();
            let mut inputs = std::mem::take(&mut record.inputs);
            inputs.iter_mut().flatten().for_each(|from| from.record = places[from.record as usize]);
            Node { id: Some(id), key: record.key, inputs, results: std::mem::take(&mut record.results) }
        };
        live.iter().map(node).collect()
    }

    /// The records of another graph as nodes that stand behind `before` others.
    fn adopt(&mut self, other: &Self, before: usize) -> Vec<Node> {
        let tops = self.adopt_layers(other);
        let live = other.in_order();
        let mut places = vec![u32::MAX; other.records.len()];
        for (place, &id) in (before..).zip(&live) {
            places[id as usize] = u32::try_from(place).unwrap_or(u32::MAX);
        }
        let selectors: Vec<u32> =
            other.selectors.values().iter().map(|selector| self.selectors.intern_str(selector)).collect();
        let alternative = |from: &Alternative| Alternative {
            record: places[from.record as usize],
            selector: selectors[from.selector as usize],
        };
        let mut nodes = Vec::with_capacity(live.len());
        for id in live {
            let record = &other.records[id as usize];
            let inputs = record.inputs.iter().map(|input| input.iter().map(alternative).collect()).collect();
            let results = record.results.iter().filter_map(|result| {
                let layers = match &result.layers {
                    StoredLayers::Ready(top) => tops[top.index()].map(StoredLayers::Ready),
                    other => Some(other.clone()),
                };
                layers.map(|layers| StoredResult { created_at: result.created_at, layers })
            });
            let key = self.keys.intern(other.keys.get(record.key).clone());
            nodes.push(Node { id: None, key, inputs, results: results.collect() });
        }
        nodes
    }

    fn adopt_layers(&mut self, other: &Self) -> Vec<Option<LayerId>> {
        let mut tops = vec![None; other.layers.len()];
        for layer in other.layers.all() {
            let blob = self.layers.blob(Arc::clone(other.layers.descriptor(layer)));
            let parent = other.layers.parent(layer).and_then(|parent| tops[parent.index()]);
            tops[layer.index()] = Some(self.layers.layer(blob, parent));
        }
        tops
    }

    /// Builds the graph again from nodes: those that are the same become one, unless that closes a loop.
    fn rebuild(&mut self, nodes: &[Node]) {
        let classes = classes(nodes);
        let looping = topology::looping(&links(nodes, &classes), &classes);
        let homes: Vec<u32> =
            (0..).zip(&classes).map(|(node, &class)| if looping[class as usize] { node } else { class }).collect();
        let order = topology::order(&links(nodes, &homes), &homes);
        let ids = self.assign_ids(nodes, &homes, &order);
        self.link_all(nodes, &ids);
        for (node, &id) in nodes.iter().zip(&ids) {
            node.results.iter().for_each(|result| self.add_result(id, result.clone()));
        }
        let pieces: Vec<u32> =
            order.iter().filter(|&&home| looping[classes[home as usize] as usize]).copied().collect();
        if !pieces.is_empty() {
            self.unfold(pieces.into_iter().map(|home| ids[home as usize]).collect());
        }
        self.sort_results();
    }

    /// Gives every node its record, in order; a record that is made one with another remembers which.
    fn assign_ids(&mut self, nodes: &[Node], homes: &[u32], order: &[u32]) -> Vec<u32> {
        let mut ids = vec![u32::MAX; nodes.len()];
        for (place, &home) in (0..).zip(order) {
            let node = &nodes[home as usize];
            let id = node.id.unwrap_or_else(|| self.push_record(node.key, 0));
            let record = &mut self.records[id as usize];
            (record.inputs, record.order) = (vec![Vec::new(); node.inputs.len()], place);
            ids[home as usize] = id;
            if node.inputs.is_empty() {
                self.roots.insert(node.key, id);
            }
        }
        for (at, node) in nodes.iter().enumerate() {
            ids[at] = ids[homes[at] as usize];
            if let Some(id) = node.id.filter(|&id| id != ids[at]) {
                self.records[id as usize].merged_into = Some(ids[at]);
            }
        }
        ids
    }

    /// Adds the links of all nodes.
    fn link_all(&mut self, nodes: &[Node], ids: &[u32]) {
        for (node, &child) in nodes.iter().zip(ids) {
            for (input, alternatives) in (0..).zip(&node.inputs) {
                for from in alternatives {
                    self.link(child, input, Alternative { record: ids[from.record as usize], ..*from });
                }
            }
        }
    }

    fn sort_results(&mut self) {
        let layers = &self.layers;
        for record in self.records.iter_mut().filter(|record| record.results.len() > 1) {
            // Where age and length are equal, whole chains are compared. They are not stored, since they may be large.
            let blobs = |result: &StoredResult| {
                let chain = result.ready().into_iter().flat_map(|top| layers.down(top));
                chain.map(|layer| layers.descriptor(layer).digest)
            };
            let order =
                |result: &StoredResult| (Reverse(result.created_at), result.ready().map(|top| layers.depth(top)));
            record.results.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| blobs(a).cmp(blobs(b))));
        }
    }
}

/// The links between those that nodes are made one with, each from the one above to the one below.
fn links(nodes: &[Node], homes: &[u32]) -> Vec<(u32, u32)> {
    let of_node = |(node, &home): (&'_ Node, &u32)| {
        let above = node.inputs.iter().flatten().map(move |from| (homes[from.record as usize], home));
        above.collect::<Vec<_>>()
    };
    nodes.iter().zip(homes).flat_map(of_node).collect()
}
