//! Where the chains of two caches diverge.

use std::collections::HashMap;

use cache_core::{CacheKey, annotation};

use super::{Divergence, DivergingInput, DivergingKey, Reason, SelectedKey};
use crate::index::{Index, links, result};

/// The most records named that the other cache has instead.
const NAMED: usize = 10;

/// The records of `here` that are not found in `there`, while everything above them is but for sources.
pub(super) fn divergences(here: &Index, there: &Index, found: &[Vec<usize>]) -> Vec<Divergence> {
    let mut by_key: HashMap<&CacheKey, Vec<usize>> = HashMap::new();
    for (n, record) in there.records().iter().enumerate() {
        by_key.entry(&record.key).or_default().push(n);
    }
    let records = here.records();
    let is_first = |&&n: &&usize| {
        let record = &records[n];
        let is_known = |input: &Vec<cache_core::manifest::RecordLink>| {
            let mut links = input.iter().filter_map(|link| usize::try_from(link.link).ok());
            links.any(|linked| !found[linked].is_empty() || records[linked].inputs.is_empty())
        };
        found[n].is_empty() && !record.inputs.is_empty() && record.inputs.iter().all(is_known)
    };
    let first = here.order.iter().filter(is_first);
    first.map(|&n| divergence(here, there, n, found, by_key.get(&records[n].key).map_or(&[], Vec::as_slice))).collect()
}

fn divergence(here: &Index, there: &Index, n: usize, found: &[Vec<usize>], same_key: &[usize]) -> Divergence {
    let record = &here.records()[n];
    let (reason, instead): (Reason, Vec<usize>) = if same_key.is_empty() {
        let siblings = siblings(here, there, n, found);
        (if siblings.is_empty() { Reason::Missing } else { Reason::StepChanged }, siblings)
    } else {
        (Reason::InputChanged, same_key.iter().take(NAMED).copied().collect())
    };
    let compared = same_key.first().map(|&other| &there.records()[other]);
    let inputs = record.inputs.iter().enumerate().map(|(input, alternatives)| {
        let known = alternatives.iter().filter_map(|link| usize::try_from(link.link).ok());
        let there_input = compared.and_then(|other| other.inputs.get(input));
        DivergingInput {
            is_shared: known.into_iter().any(|linked| !found[linked].is_empty()),
            here: alternatives.iter().map(|link| named(here, link)).collect(),
            there: there_input.into_iter().flatten().map(|link| named(there, link)).collect(),
        }
    });
    Divergence {
        record: recognise(here, n),
        reason,
        inputs: inputs.collect(),
        instead: instead.into_iter().map(|other| recognise(there, other)).collect(),
    }
}

/// Records of the other cache that hang on what both have of this record's inputs.
fn siblings(here: &Index, there: &Index, n: usize, found: &[Vec<usize>]) -> Vec<usize> {
    let shared = links(&here.records()[n], found.len()).flat_map(|linked| &found[linked]);
    let mut siblings: Vec<usize> =
        shared.flat_map(|&linked| &there.children[linked]).take(NAMED * NAMED).copied().collect();
    siblings.sort_unstable();
    siblings.dedup();
    siblings.truncate(NAMED);
    siblings
}

fn named(index: &Index, link: &cache_core::manifest::RecordLink) -> SelectedKey {
    let linked = usize::try_from(link.link).ok().and_then(|linked| index.records().get(linked));
    SelectedKey { key: linked.map(|record| record.key.clone()).unwrap_or_default(), selector: link.selector.clone() }
}

fn recognise(index: &Index, n: usize) -> DivergingKey {
    let record = &index.records()[n];
    let result = result(record);
    let top = result.and_then(|(layer, _)| index.config().layers.get(layer)).map(|layer| layer.blob);
    let descriptor = top.and_then(|top| index.manifest.descriptor(&top));
    DivergingKey {
        key: record.key.clone(),
        description: descriptor.and_then(|layer| layer.annotations.get(annotation::DESCRIPTION).cloned()),
        created_at: result.map(|(_, created_at)| created_at),
        top,
    }
}
