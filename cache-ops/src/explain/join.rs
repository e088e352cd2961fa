//! Which record of a cache a vertex of a log made or found.
//!
//! The log has no keys, and a vertex's digest changes with every build. What both have is the shape of the graph, input
//! by input, and the time at which a result was made, which is shortly after its vertex ended. Where that leaves more
//! than one record, the join says that it is not certain.

use std::collections::HashMap;
use std::time::Duration;

use cache_core::Timestamp;
use cache_core::manifest::CacheRecord;

use super::build::Build;
use super::log::StepOutcome;
use super::steps::Kind;
use crate::index::{Index, links, result};

/// How many records are looked at for all vertices together, at most.
const LOOKS: usize = 40_000_000;
/// The most candidates of a vertex; with more it counts as not joined.
const CANDIDATES: usize = 256;
/// How long before a vertex's end its result may be dated, since clocks disagree.
const BEFORE: Duration = Duration::from_secs(1);
/// How long after a vertex's end its result may be made.
const AFTER: Duration = Duration::from_secs(10);

/// The record of a vertex.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    /// The most likely one.
    pub(super) record: Option<usize>,
    /// Whether no other record fits.
    pub(super) is_certain: bool,
    /// All records that fit, the most likely one included.
    pub(super) candidates: Vec<usize>,
}

/// Joins a log to a cache. With `is_export`, the build wrote the cache, and a vertex that ran has a result with the
/// time of its end; otherwise results only tell about hits, and a vertex that ran gets the records that would fit.
pub(super) fn join(build: &Build<'_>, index: &Index, is_export: bool) -> Vec<Joined> {
    let mut joiner = Joiner::new(build, index, is_export);
    for &v in &build.order {
        joiner.candidates[v] = joiner.find(v);
    }
    for _ in 0..2 {
        build.order.iter().rev().for_each(|&v| joiner.narrow_by_consumers(v));
        build.order.iter().for_each(|&v| joiner.narrow_by_inputs(v));
    }
    joiner.choose()
}

struct Joiner<'a> {
    build: &'a Build<'a>,
    index: &'a Index,
    is_export: bool,
    /// When the build began; results that are younger are its own.
    started: Timestamp,
    candidates: Vec<Vec<usize>>,
    /// The records that have a root for an input, by how many inputs they have.
    on_roots: HashMap<usize, Vec<usize>>,
    /// The records with a result of this build, by its time.
    made: Vec<(Timestamp, usize)>,
    looks: usize,
}

impl<'a> Joiner<'a> {
    fn new(build: &'a Build<'a>, index: &'a Index, is_export: bool) -> Self {
        let records = index.records();
        let started = build.log.started().unwrap_or(Timestamp::ZERO).saturating_sub(BEFORE);
        let mut on_roots: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut made = Vec::new();
        for (n, record) in records.iter().enumerate() {
            if links(record, records.len()).any(|linked| records[linked].inputs.is_empty()) {
                on_roots.entry(record.inputs.len()).or_default().push(n);
            }
            if let Some((_, at)) = result(record).filter(|(_, at)| is_export && *at >= started) {
                made.push((at, n));
            }
        }
        made.sort_unstable();
        let candidates = vec![Vec::new(); build.log.vertices.len()];
        Self { build, index, is_export, started, candidates, on_roots, made, looks: 0 }
    }

    fn ran(&self, v: usize) -> bool {
        self.build.log.vertices[v].outcome != StepOutcome::Hit
    }

    /// The records that have the vertex's inputs and its outcome.
    fn find(&mut self, v: usize) -> Vec<usize> {
        let vertex = &self.build.log.vertices[v];
        match self.build.kinds[v] {
            Kind::Step if !vertex.inputs.is_empty() => {}
            _ => return Vec::new(),
        }
        let is_done = matches!(vertex.outcome, StepOutcome::Hit | StepOutcome::Ran);
        if self.is_export && !is_done {
            return Vec::new();
        }
        let timed = if self.is_export && self.ran(v) { self.made_by(v) } else { Vec::new() };
        let mut found = self.shaped(v, &timed);
        if found.is_empty() && !timed.is_empty() {
            return found;
        }
        if found.is_empty() {
            let all = self.below_inputs(v);
            found = self.shaped(v, &all);
            found = self.fitting(v, found);
        }
        if found.len() > CANDIDATES { Vec::new() } else { found }
    }

    /// Records whose result was made when a span of the vertex ended. Later spans are possible, since the result is
    /// unpacked when a dependant asks for it.
    fn made_by(&self, v: usize) -> Vec<usize> {
        let ends = self.build.log.vertices[v].spans.iter().map(|span| span.end);
        let made_at = |end: Timestamp| {
            let from = self.made.partition_point(|(at, _)| *at < end.saturating_sub(BEFORE));
            self.made.iter().skip(from).take_while(move |(at, _)| at.since(end) <= AFTER).map(|(_, n)| *n)
        };
        let mut made: Vec<usize> = ends.flat_map(made_at).take(self.made.len()).collect();
        made.sort_unstable();
        made.dedup();
        made
    }

    /// All records below the candidates of the inputs; below any root if no input is known.
    fn below_inputs(&self, v: usize) -> Vec<usize> {
        let vertex = &self.build.log.vertices[v];
        let below = |input: usize| {
            let candidates = self.candidates[input].iter();
            candidates.map(|&n| self.index.children[n].len()).sum::<usize>()
        };
        let known = vertex.inputs.iter().flatten().filter(|input| !self.candidates[**input].is_empty());
        match known.min_by_key(|input| below(**input)) {
            Some(input) => {
                let mut all: Vec<usize> =
                    self.candidates[*input].iter().flat_map(|&n| &self.index.children[n]).copied().collect();
                all.sort_unstable();
                all.dedup();
                all
            }
            None => self.on_roots.get(&vertex.inputs.len()).cloned().unwrap_or_default(),
        }
    }

    /// Those of the records that have as many inputs, and for each something that the vertex's input may be.
    fn shaped(&mut self, v: usize, among: &[usize]) -> Vec<usize> {
        if self.looks.saturating_add(among.len()) > LOOKS {
            return Vec::new();
        }
        self.looks += among.len();
        among.iter().copied().filter(|&n| self.fits(v, n)).collect()
    }

    fn fits(&self, v: usize, n: usize) -> bool {
        let (vertex, record) = (&self.build.log.vertices[v], &self.index.records()[n]);
        vertex.inputs.len() == record.inputs.len()
            && vertex.inputs.iter().enumerate().all(|(at, input)| match input {
                Some(input) => self.input_fits(*input, record, at),
                None => true,
            })
    }

    fn input_fits(&self, input: usize, record: &CacheRecord, at: usize) -> bool {
        let records = self.index.records();
        let mut linked = linked(record, at);
        match (self.build.kinds[input], &self.candidates[input]) {
            (Kind::Source(_), _) => linked.any(|n| records.get(n).is_some_and(|record| record.inputs.is_empty())),
            (_, candidates) if candidates.is_empty() => true,
            (_, candidates) => linked.any(|n| candidates.contains(&n)),
        }
    }

    /// Prefers records that fit the outcome: a hit has a result from before the build, a vertex that ran has a new one.
    fn fitting(&self, v: usize, found: Vec<usize>) -> Vec<usize> {
        let made = |n: &usize| result(&self.index.records()[*n]).map(|(_, at)| at);
        if self.ran(v) {
            // A build whose results are not in its export: nothing but the shape is left.
            let bare: Vec<usize> = found.iter().copied().filter(|n| made(n).is_none()).collect();
            return if self.is_export && !bare.is_empty() { bare } else { found };
        }
        let old: Vec<usize> = found.iter().copied().filter(|n| made(n).is_some_and(|at| at < self.started)).collect();
        if old.is_empty() { found } else { old }
    }

    /// Drops candidates that no consumer can have as its input.
    fn narrow_by_consumers(&mut self, v: usize) {
        for &(consumer, at) in &self.build.consumers[v] {
            if self.candidates[v].len() < 2 || self.candidates[consumer].is_empty() {
                continue;
            }
            let records = self.index.records();
            let wanted: Vec<usize> = self.candidates[consumer].iter().flat_map(|&n| linked(&records[n], at)).collect();
            let kept: Vec<usize> = self.candidates[v].iter().copied().filter(|n| wanted.contains(n)).collect();
            if !kept.is_empty() {
                self.candidates[v] = kept;
            }
        }
    }

    /// Drops what does not fit the inputs any more.
    fn narrow_by_inputs(&mut self, v: usize) {
        if self.candidates[v].len() < 2 {
            return;
        }
        let kept: Vec<usize> = self.candidates[v].iter().copied().filter(|&n| self.fits(v, n)).collect();
        if !kept.is_empty() {
            self.candidates[v] = kept;
        }
    }

    /// Chooses the most likely candidate: for a vertex that ran the one made when it ended, for a hit the one of its
    /// consumers.
    fn choose(mut self) -> Vec<Joined> {
        let lag = self.lag();
        let mut joined = vec![Joined::default(); self.candidates.len()];
        for &v in self.build.order.iter().rev() {
            self.narrow_to_chosen(v, &joined);
            let candidates = self.candidates[v].clone();
            let (record, is_certain) = match candidates.as_slice() {
                [] => (None, false),
                [one] => (Some(*one), true),
                many if self.is_export && self.ran(v) => self.nearest(v, many, lag),
                many => (many.first().copied(), false),
            };
            joined[v] = Joined { record, is_certain, candidates };
        }
        joined
    }

    fn narrow_to_chosen(&mut self, v: usize, joined: &[Joined]) {
        let records = self.index.records();
        for &(consumer, at) in &self.build.consumers[v] {
            let Some(chosen) = joined[consumer].record.filter(|_| self.candidates[v].len() > 1) else { continue };
            let kept: Vec<usize> =
                self.candidates[v].iter().copied().filter(|n| linked(&records[chosen], at).any(|l| l == *n)).collect();
            if !kept.is_empty() {
                self.candidates[v] = kept;
            }
        }
    }

    /// The record whose result was made nearest to the vertex's end; it is certain if the next one is far off.
    fn nearest(&self, v: usize, among: &[usize], lag: i128) -> (Option<usize>, bool) {
        let mut by_distance: Vec<(i128, usize)> =
            among.iter().filter_map(|&n| Some(((self.delay(v, n)? - lag).abs(), n))).collect();
        by_distance.sort_unstable();
        match by_distance.as_slice() {
            [] => (among.first().copied(), false),
            [(_, n)] => (Some(*n), true),
            [(near, n), (far, _), ..] => (Some(*n), *far > near.saturating_mul(4).saturating_add(5_000_000)),
        }
    }

    /// How long results were made after their vertices ended, in nanoseconds: the median of those that are sure.
    fn lag(&self) -> i128 {
        let sure = self.candidates.iter().enumerate().filter(|(v, found)| found.len() == 1 && self.ran(*v));
        let mut lags: Vec<i128> = sure.filter_map(|(v, found)| self.delay(v, found[0])).collect();
        lags.sort_unstable();
        lags.get(lags.len() / 2).copied().unwrap_or(0)
    }

    /// How long after the nearest end of the vertex's work a record's result was made.
    fn delay(&self, v: usize, n: usize) -> Option<i128> {
        let (_, made) = result(&self.index.records()[n])?;
        let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let delays = self.build.log.vertices[v]
            .spans
            .iter()
            .map(|span| nanos(made.since(span.end)) - nanos(span.end.since(made)));
        delays.min_by_key(|delay| delay.abs())
    }
}

/// The records that may be an input of a record.
pub(super) fn linked(record: &CacheRecord, at: usize) -> impl Iterator<Item = usize> + '_ {
    record.inputs.get(at).into_iter().flatten().filter_map(|link| usize::try_from(link.link).ok())
}
