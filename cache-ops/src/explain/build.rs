//! A build as `explain` walks it: the log's vertices, what they are, and what hangs on what.

use super::log::BuildLog;
use super::steps::{self, Kind};

/// A log with what every part of `explain` asks of it.
pub(super) struct Build<'a> {
    pub(super) log: &'a BuildLog,
    /// What each vertex is.
    pub(super) kinds: Vec<Kind>,
    /// For each vertex those that work on it, and as which input.
    pub(super) consumers: Vec<Vec<(usize, usize)>>,
    /// The vertices, inputs before consumers, without those on a loop.
    pub(super) order: Vec<usize>,
}

impl<'a> Build<'a> {
    pub(super) fn new(log: &'a BuildLog) -> Self {
        let consumers = consumers(log);
        let kinds =
            log.vertices.iter().zip(&consumers).map(|(vertex, by)| steps::kind(vertex, !by.is_empty())).collect();
        let order = inputs_first(log, &consumers);
        Self { log, kinds, consumers, order }
    }
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

/// For each vertex those that work on it, and as which input.
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
