//! The results of the lookups.

use std::collections::BTreeSet;
use std::error::Error;

use cache_core::graph::{CacheHit, RecordId};
use cache_core::{CacheChains, CacheLink};
use serde_json::Value;

use super::configs::{Asked, Query};

/// For each query, whether a record was found, and the layers of every result.
pub(super) struct Answers(Vec<Option<BTreeSet<Vec<String>>>>);

impl Answers {
    /// The answers of our graph.
    pub(super) fn of(chains: &CacheChains, queries: &[Query]) -> Self {
        let mut found: Vec<Vec<RecordId>> = Vec::with_capacity(queries.len());
        for query in queries {
            let links = |input: &Vec<Asked>| {
                let record = |asked: &Asked| {
                    let records = found.get(asked.query).into_iter().flatten();
                    records.map(|&record| CacheLink::with_selector(record, asked.selector.clone())).collect::<Vec<_>>()
                };
                input.iter().flat_map(record).collect::<Vec<_>>()
            };
            let inputs: Vec<Vec<CacheLink>> = query.inputs.iter().map(links).collect();
            found.push(chains.lookup(&query.key(), &inputs));
        }
        let layers = |hit: CacheHit| hit.layers.iter().map(|layer| layer.digest.to_string()).collect::<Vec<_>>();
        let answer = |records: &Vec<RecordId>| {
            let hits = records.iter().flat_map(|&record| chains.hits(record));
            (!records.is_empty()).then(|| hits.map(layers).collect())
        };
        Self(found.iter().map(answer).collect())
    }

    /// The answers of the peer: for each query the records that were found, and for each of them its results.
    pub(super) fn found(run: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |layer: &Value| layer.as_str().unwrap_or_default().to_owned();
        let layers = |result: Value| list(&result["layers"]).iter().map(text).collect::<Vec<_>>();
        let answer = |records: Value| {
            let records = list(&records);
            (!records.is_empty()).then(|| records.iter().flat_map(list).map(layers).collect())
        };
        Self(list(run).into_iter().map(answer).collect())
    }

    /// Fails if the other one has found a record or a result that is missing here.
    pub(super) fn expect_all_of(&self, other: &Self) -> Result<(), Box<dyn Error>> {
        for (n, (own, others)) in self.0.iter().zip(&other.0).enumerate() {
            let has_all = match (own, others) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(own), Some(others)) => others.is_subset(own),
            };
            if !has_all {
                return Err(format!("query {n}: {own:?} is not all of {others:?}").into());
            }
        }
        Ok(())
    }

    pub(super) fn expect_equal(&self, other: &Self) -> Result<(), Box<dyn Error>> {
        self.expect_all_of(other)?;
        other.expect_all_of(self)
    }
}
