//! A build as `explain` walks it: the log's vertices, their kinds, and their dependants.

use std::collections::HashMap;

use super::log::BuildLog;
use super::steps::{self, Kind};

/// A log, indexed for all parts of `explain`.
pub(super) struct Build<'a> {
    pub(super) log: &'a BuildLog,
    /// What each vertex is.
    pub(super) kinds: Vec<Kind>,
    /// For each vertex its dependants, each with the number of the input.
    pub(super) consumers: Vec<Vec<(usize, usize)>>,
    /// The vertices, inputs before consumers, without those on a loop.
    pub(super) order: Vec<usize>,
    /// The steps of one instruction, if there are several platforms.
    twins: HashMap<String, Vec<usize>>,
}

impl<'a> Build<'a> {
    pub(super) fn new(log: &'a BuildLog) -> Self {
        let consumers = consumers(log);
        let kinds: Vec<Kind> =
            log.vertices.iter().zip(&consumers).map(|(vertex, by)| steps::kind(vertex, !by.is_empty())).collect();
        let order = inputs_first(log, &consumers);
        let twins = twins(log, &kinds);
        Self { log, kinds, consumers, order, twins }
    }

    /// The steps of the same instruction as one, itself included; none if there is one platform.
    pub(super) fn twins(&self, v: usize) -> &[usize] {
        if self.twins.is_empty() {
            return &[];
        }
        self.twins.get(&steps::without_platform(&self.log.vertices[v].name)).map_or(&[], Vec::as_slice)
    }
}

fn twins(log: &BuildLog, kinds: &[Kind]) -> HashMap<String, Vec<usize>> {
    let mut twins: HashMap<String, Vec<usize>> = HashMap::new();
    for v in (0..log.vertices.len()).filter(|&v| kinds[v] == Kind::Step) {
        twins.entry(steps::without_platform(&log.vertices[v].name)).or_default().push(v);
    }
    twins.retain(|_, steps| steps.len() > 1);
    twins
}

/// The vertices in an order in which inputs come first; those on a loop are left out.
fn inputs_first(log: &BuildLog, consumers: &[Vec<(usize, usize)>]) -> Vec<usize> {
    let mut waits: Vec<usize> = log.vertices.iter().map(|vertex| vertex.inputs.iter().flatten().count()).collect();
    let mut order: Vec<usize> = (0..waits.len()).filter(|&v| waits[v] == 0).collect();
    let mut done = 0;
    while let Some(&v) = order.get(done) {
        done += 1;
        for &(consumer, _) in &consumers[v] {
            waits[consumer] -= 1;
            if waits[consumer] == 0 {
                order.push(consumer);
            }
        }
    }
    order
}

/// For each vertex its dependants, each with the number of the input.
fn consumers(log: &BuildLog) -> Vec<Vec<(usize, usize)>> {
    let mut consumers = vec![Vec::new(); log.vertices.len()];
    for (v, vertex) in log.vertices.iter().enumerate() {
        for (at, input) in vertex.inputs.iter().enumerate() {
            if let Some(input) = input {
                consumers[*input].push((v, at));
            }
        }
    }
    consumers
}
