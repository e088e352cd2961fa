//! Looks up the results that a step can reuse, as BuildKit's importer does.

use super::{Alternative, CacheChains, CacheLink, Edge, Link, RecordId, StoredLayers, StoredResult};
use crate::manifest::CacheKey;
use crate::model::{Descriptor, Timestamp};

/// A result that can be reused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheHit {
    /// When the result was made.
    pub created_at: Timestamp,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
}

impl CacheChains {
    /// Finds the root record with this key.
    #[must_use]
    pub fn root(&self, key: &CacheKey) -> Option<RecordId> {
        let key = self.keys.id(key)?;
        self.roots.get(&key).copied().map(RecordId)
    }

    /// Finds the records of a step with this key whose inputs are those given.
    ///
    /// Every input has to match, by any of its alternatives: by definition, with the step's selector, or by content,
    /// without one. A step without inputs is a root. The records are in no particular order, and often there is only
    /// one; its result, if any, is [`hit`](Self::hit).
    #[must_use]
    pub fn lookup(&self, key: &CacheKey, inputs: &[Vec<CacheLink>]) -> Vec<RecordId> {
        if inputs.is_empty() {
            return self.root(key).into_iter().collect();
        }
        let Some(key) = self.keys.id(key) else {
            return Vec::new();
        };
        let known = |link: &CacheLink| {
            let selector = self.selectors.id(link.selector.as_str())?;
            let is_here = (link.record.0 as usize) < self.records.len();
            is_here.then(|| Alternative { record: self.find(link.record.0), selector })
        };
        let inputs: Vec<Vec<Alternative>> =
            inputs.iter().map(|input| input.iter().filter_map(known).collect()).collect();
        self.candidates(key, &inputs, None).into_iter().map(RecordId).collect()
    }

    /// The results of a record, newest first; lazy ones are left out until they are resolved.
    ///
    /// # Panics
    /// When the record is of another graph.
    #[must_use]
    pub fn hits(&self, record: RecordId) -> Vec<CacheHit> {
        let mut ready: Vec<&StoredResult> = self.records[self.find(record.0) as usize].results.iter().collect();
        ready.sort_by_key(|result| std::cmp::Reverse(result.created_at));
        ready.into_iter().filter_map(|result| self.to_hit(result)).collect()
    }

    /// The result of a record that BuildKit would use: the newest.
    ///
    /// # Panics
    /// When the record is of another graph.
    #[must_use]
    pub fn hit(&self, record: RecordId) -> Option<CacheHit> {
        let results = &self.records[self.find(record.0) as usize].results;
        best(results).and_then(|result| self.to_hit(result))
    }

    fn to_hit(&self, result: &StoredResult) -> Option<CacheHit> {
        let layers = match result.layers {
            StoredLayers::Ready(top) => self.layers.descriptors(top),
            StoredLayers::Empty => Vec::new(),
            StoredLayers::Lazy(_) => return None,
        };
        Some(CacheHit { created_at: result.created_at, layers })
    }

    /// The records with `key` that hang on at least one alternative of every input, oldest first.
    ///
    /// The work is that of the input with the fewest records below it.
    pub(super) fn candidates(&self, key: u32, inputs: &[Vec<Alternative>], arity: Option<usize>) -> Vec<u32> {
        let below = |input: u32, from: &Alternative| {
            let edge = Edge { parent: from.record, selector: from.selector, input, key };
            self.below.get(&edge).map_or(&[][..], Vec::as_slice)
        };
        let count = |(input, alternatives): &(u32, &Vec<Alternative>)| {
            alternatives.iter().map(|from| below(*input, from).len()).sum::<usize>()
        };
        let Some((fewest, alternatives)) = (0..).zip(inputs).min_by_key(count) else {
            return Vec::new();
        };
        let mut found: Vec<u32> = alternatives.iter().flat_map(|from| below(fewest, from)).copied().collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|&child| {
            arity.is_none_or(|arity| self.records[child as usize].inputs.len() == arity)
                && (0..).zip(inputs).all(|(input, alternatives)| {
                    input == fewest
                        || alternatives.iter().any(|&from| self.links.contains(&Link { child, input, from }))
                })
        });
        found
    }
}

/// The newest result; the first of several with equal times.
pub(super) fn best(results: &[StoredResult]) -> Option<&StoredResult> {
    let ready = results.iter().filter(|result| result.is_ready());
    ready.reduce(|best, result| if result.created_at > best.created_at { result } else { best })
}
