//! Which records of one cache a build finds in another.

use std::collections::{HashMap, HashSet};

use cache_core::{CacheKey, Digest};

use crate::index::{Index, result};

/// How a record depends on another: selector, input and key.
type Hook<'a> = (usize, &'a str, usize, &'a CacheKey);

/// For each record of `here` the records of `there` that a lookup finds with the inputs that both have.
pub(crate) fn matches(here: &Index, there: &Index) -> Vec<Vec<usize>> {
    let (mut roots, mut hooks): (HashMap<&CacheKey, usize>, HashMap<Hook<'_>, Vec<usize>>) = Default::default();
    for (n, record) in there.records().iter().enumerate() {
        if record.inputs.is_empty() {
            roots.insert(&record.key, n);
        }
        for (input, links) in record.inputs.iter().enumerate() {
            for link in links {
                let linked = usize::try_from(link.link).unwrap_or(usize::MAX);
                hooks.entry((linked, &link.selector, input, &record.key)).or_default().push(n);
            }
        }
    }
    let mut found: Vec<Vec<usize>> = vec![Vec::new(); here.records().len()];
    for &n in &here.order {
        let record = &here.records()[n];
        if record.inputs.is_empty() {
            found[n] = roots.get(&record.key).copied().into_iter().collect();
            continue;
        }
        let below = |input: usize| -> Vec<usize> {
            let links = record.inputs[input].iter();
            let known = links.flat_map(|link| {
                let linked = usize::try_from(link.link).ok().and_then(|linked| found.get(linked));
                linked.into_iter().flatten().map(move |&linked| (linked, link.selector.as_str(), input, &record.key))
            });
            let mut below: Vec<usize> = known.filter_map(|hook| hooks.get(&hook)).flatten().copied().collect();
            below.sort_unstable();
            below.dedup();
            below
        };
        let mut hits = below(0);
        for input in 1..record.inputs.len() {
            if hits.is_empty() {
                break;
            }
            let others: HashSet<usize> = below(input).into_iter().collect();
            hits.retain(|hit| others.contains(hit));
        }
        found[n] = hits;
    }
    found
}

/// A cache, and for each of its layers the chain that ends with it.
pub(super) struct Chained<'a> {
    pub(super) index: &'a Index,
    pub(super) chains: &'a [Option<Digest>],
}

impl Chained<'_> {
    /// The chain of a record's result.
    fn chain(&self, n: usize) -> Option<Digest> {
        let (layer, _) = self.index.records().get(n).and_then(result)?;
        self.chains.get(layer).copied().flatten()
    }
}

/// How many results of `here` are also those of the record found in `there`.
pub(super) fn same_results(here: &Chained<'_>, there: &Chained<'_>, found: &[Vec<usize>]) -> usize {
    let is_same = |n: &usize| {
        let own = here.chain(*n);
        own.is_some() && found[*n].iter().any(|&hit| there.chain(hit) == own)
    };
    (0..here.index.records().len()).filter(is_same).count()
}
