//! How much of one cache a build finds in another one.

use std::collections::HashMap;

use cache_core::graph::RecordId;
use cache_core::{CacheChains, CacheLink};

/// How many records of `part` a build finds in `whole`, looking up keys from the roots down.
#[must_use]
pub fn found(part: &CacheChains, whole: &CacheChains) -> usize {
    found_by(part, whole, |input| input)
}

/// As [`found()`], for a build that knows only those alternatives of each input that `choose` picks.
#[must_use]
pub fn found_by(
    part: &CacheChains,
    whole: &CacheChains,
    mut choose: impl FnMut(Vec<CacheLink>) -> Vec<CacheLink>,
) -> usize {
    let mut there: HashMap<RecordId, Vec<RecordId>> = HashMap::new();
    for record in part.records() {
        let known = |link: CacheLink| {
            let found = there.get(&link.record).into_iter().flatten();
            found.map(|&record| CacheLink { record, ..link.clone() }).collect::<Vec<_>>()
        };
        let inputs: Vec<_> =
            part.inputs(record).into_iter().map(|input| choose(input).into_iter().flat_map(known).collect()).collect();
        let mut hits = whole.lookup(part.key(record), &inputs);
        hits.retain(|&hit| part.hit(record).is_none() || whole.hit(hit).is_some());
        there.insert(record, hits);
    }
    there.values().filter(|hits| !hits.is_empty()).count()
}
