//! Explains without a log: treats the records of the exported cache like steps of a log.

use std::collections::HashMap;

use cache_core::manifest::CacheRecord;
use cache_core::{Digest, annotation};

use super::cache::{Holding, Side};
use super::join::{Joined, linked};
use super::log::{BuildLog, StepOutcome, Vertex};
use crate::index::{Index, result};

/// A log generated from records, and the records of its vertices.
pub(super) struct GeneratedLog {
    pub(super) log: BuildLog,
    pub(super) joined: Vec<Joined>,
}

/// Makes a vertex of every record that the build can have had: those with a result, and those that no cache knows.
pub(super) fn as_log(index: &Index, sides: &[Side<'_>], found: &[Vec<Vec<usize>>]) -> GeneratedLog {
    let records = index.records();
    let is_new = |n: usize| found.iter().all(|found| found[n].is_empty());
    let is_step = |n: usize| !records[n].inputs.is_empty() && (result(&records[n]).is_some() || is_new(n));
    let mut made = GeneratedLog { log: BuildLog::default(), joined: Vec::new() };
    let mut places: HashMap<usize, usize> = HashMap::new();
    for &n in index.order.iter().filter(|&&n| is_step(n)) {
        let inputs = (0..records[n].inputs.len()).map(|at| {
            let step = linked(&records[n], at).find_map(|linked| places.get(&linked).copied());
            Some(step.unwrap_or_else(|| made.push(source(&records[n], at), None)))
        });
        let inputs = inputs.collect::<Vec<_>>();
        let outcome = if has_made(index, sides, found, n) { StepOutcome::Ran } else { StepOutcome::Hit };
        let place = made.push(vertex(index, n, inputs, outcome), Some(n));
        places.insert(n, place);
    }
    made
}

/// Whether the result is one that no cache has.
fn has_made(index: &Index, sides: &[Side<'_>], found: &[Vec<Vec<usize>>], n: usize) -> bool {
    let made = result(&index.records()[n]).map(|(_, at)| at);
    let is_same = |side: usize, other: usize| {
        let there = sides[side].index.as_ref().and_then(|index| result(&index.records()[other]));
        there.is_some() && (made.is_none() || there.map(|(_, at)| at) == made)
    };
    let mut known = (0..sides.len()).flat_map(|side| found[side][n].iter().map(move |&other| (side, other)));
    !known.any(|(side, other)| sides[side].holding(&[other]) == Holding::Stored && is_same(side, other))
}

fn vertex(index: &Index, n: usize, inputs: Vec<Option<usize>>, outcome: StepOutcome) -> Vertex {
    let record = &index.records()[n];
    let top = result(record).and_then(|(layer, _)| index.config().layers.get(layer)).map(|layer| layer.blob);
    let described =
        top.and_then(|top| index.manifest.descriptor(&top)?.annotations.get(annotation::DESCRIPTION).cloned());
    let name = described.unwrap_or_else(|| format!("step {}", record.key));
    Vertex {
        digest: Digest::sha256(name.as_bytes()),
        name,
        inputs,
        outcome,
        spans: Vec::new(),
        error: None,
        is_load_failed: false,
    }
}

/// An input without a step: an image if the link has a selector, as that of a `RUN` to its root; otherwise files.
fn source(record: &CacheRecord, at: usize) -> Vertex {
    let is_image = record.inputs.len() == 1 && record.inputs[at].iter().any(|link| !link.selector.is_empty());
    let name = if is_image { "FROM an image" } else { "[internal] files" }.to_owned();
    Vertex {
        digest: Digest::sha256(name.as_bytes()),
        name,
        inputs: Vec::new(),
        outcome: StepOutcome::Ran,
        spans: Vec::new(),
        error: None,
        is_load_failed: false,
    }
}

impl GeneratedLog {
    fn push(&mut self, vertex: Vertex, record: Option<usize>) -> usize {
        self.log.vertices.push(vertex);
        self.joined.push(Joined { record, is_certain: record.is_some(), candidates: record.into_iter().collect() });
        self.log.vertices.len() - 1
    }
}
