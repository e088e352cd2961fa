//! The state of the search for causes: the build, the caches, and which steps are which records.

use std::collections::{HashMap, HashSet, VecDeque};

use cache_core::CacheKey;

use super::build::Build;
use super::cache::Side;
use super::cause::Cause;
use super::join::{Joined, linked};
use super::log::StepOutcome;
use super::steps::Kind;
use crate::index::Index;

/// A step's miss before it is put into a group.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    pub(super) is_certain: bool,
    pub(super) also: Vec<Cause>,
    /// For a step that missed because inputs missed, these inputs.
    pub(super) follows: Vec<usize>,
    pub(super) elsewhere: Vec<String>,
}

/// All that the search for causes needs.
pub(super) struct Walk<'a> {
    pub(super) build: Build<'a>,
    /// For each cache the records that match steps of this build.
    pub(super) used: Vec<HashSet<usize>>,
    pub(super) sides: Vec<Side<'a>>,
    pub(super) export: Option<Export>,
    /// Without an export, for each cache the records that may match a vertex.
    pub(super) guessed: Vec<Vec<Joined>>,
    /// How many of the caches the build imported by its log; `None` without a log.
    pub(super) imports: Option<Imports>,
}

/// The cache that the build wrote.
pub(super) struct Export {
    pub(super) index: Index,
    pub(super) joined: Vec<Joined>,
    /// For each cache, for each record of this one, the records that a lookup finds.
    pub(super) found: Vec<Vec<Vec<usize>>>,
    /// The vertex of a record.
    pub(super) vertex: HashMap<usize, usize>,
    /// The steps whose only input is a root.
    pub(super) on_one_root: HashSet<CacheKey>,
}

/// The imports in the log.
pub(super) struct Imports {
    pub(super) done: usize,
    pub(super) failed: Option<String>,
}

impl Export {
    pub(super) fn new(index: Index, joined: Vec<Joined>, found: Vec<Vec<Vec<usize>>>) -> Self {
        let of_vertices = joined.iter().enumerate().filter_map(|(v, joined)| Some((joined.record?, v)));
        let vertex = of_vertices.collect();
        let on_one_root = index.on_one_root().into_iter().map(|n| index.records()[n].key.clone()).collect();
        Self { index, joined, found, vertex, on_one_root }
    }
}

impl Imports {
    pub(super) fn of(build: &Build<'_>) -> Self {
        let vertices = build.log.vertices.iter().zip(&build.kinds).filter(|(_, kind)| **kind == Kind::Import);
        let (failed, done): (Vec<_>, Vec<_>) =
            vertices.map(|(vertex, _)| vertex).partition(|vertex| vertex.error.is_some());
        Self { done: done.len(), failed: failed.first().and_then(|vertex| vertex.error.clone()) }
    }
}

impl Walk<'_> {
    /// Whether a vertex is a step that missed.
    pub(super) fn missed(&self, v: usize) -> bool {
        self.build.kinds[v] == Kind::Step
            && !matches!(self.build.log.vertices[v].outcome, StepOutcome::Hit | StepOutcome::NotReached)
    }

    /// The vertex's record in the exported cache.
    pub(super) fn record(&self, v: usize) -> Option<usize> {
        self.export.as_ref().and_then(|export| export.joined[v].record)
    }

    /// The records of a cache for a step.
    pub(super) fn known(&self, side: usize, v: usize) -> &[usize] {
        match (&self.export, self.record(v)) {
            (Some(export), Some(record)) => &export.found[side][record],
            (Some(_), None) => &[],
            (None, _) => {
                self.guessed.get(side).and_then(|joined| joined.get(v)).map_or(&[], |joined| &joined.candidates)
            }
        }
    }

    /// The records that a lookup finds in a cache for a record of the export.
    pub(super) fn found_there(&self, side: usize, record: usize) -> &[usize] {
        self.export.as_ref().map_or(&[], |export| &export.found[side][record])
    }

    pub(super) fn is_joined_for_sure(&self, v: usize) -> bool {
        self.export.as_ref().is_some_and(|export| export.joined[v].is_certain)
    }

    pub(super) fn imported(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.sides.len()).filter(|&side| self.sides[side].cache.is_imported)
    }
}

impl Verdict {
    pub(super) fn sure(cause: Cause) -> Self {
        Self { cause, is_certain: true, also: Vec::new(), follows: Vec::new(), elsewhere: Vec::new() }
    }

    pub(super) fn likely(cause: Cause) -> Self {
        Self { is_certain: false, ..Self::sure(cause) }
    }
}

/// The records below those in `from`, each with its depth; bounded.
pub(super) fn below(index: &Index, from: &[usize], may_enter: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    const RECORDS: usize = 5_000;
    let mut seen: HashSet<usize> = from.iter().copied().collect();
    let mut todo: VecDeque<(usize, usize)> = from.iter().map(|&n| (n, 0)).collect();
    let mut found = Vec::new();
    while let Some((n, depth)) = todo.pop_front() {
        for &child in &index.children[n] {
            if found.len() < RECORDS && may_enter(child) && seen.insert(child) {
                found.push((child, depth + 1));
                todo.push_back((child, depth + 1));
            }
        }
    }
    found
}

/// Whether a record has one of `of` as its first input.
pub(super) fn is_first_input(index: &Index, n: usize, of: &[usize]) -> bool {
    linked(&index.records()[n], 0).any(|linked| of.contains(&linked))
}
