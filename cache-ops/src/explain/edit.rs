//! Detects how a Dockerfile was edited: whether a step was changed, added, removed or moved, by the keys before and
//! after it.
//!
//! A record's key is the digest of its step alone, without its inputs. So a moved step keeps its key, and the steps
//! after a new step show whether it replaces another one or was inserted.

use std::collections::HashSet;

use cache_core::CacheKey;

use super::cause::{Cause, Part};
use super::steps;
use super::walk::{Export, Walk, below, is_first_input};
use crate::index::{Index, links};

/// The most steps of the cache that are named in place of a changed one.
const NAMED: usize = 10;
/// The most copies without a base that are compared.
const COPIES: usize = 1_000;

/// Why the inputs of a record are in a cache but the record is not, and whether that is certain.
pub(super) fn edited(walk: &Walk<'_>, v: usize, record: usize, side: usize) -> (Cause, bool) {
    let export = walk.export.as_ref().expect("a record is of an export");
    let Some(there) = &walk.sides[side].index else { return (Cause::Unknown, false) };
    let key = &export.index.records()[record].key;
    let bases: Vec<usize> = walk.first_input_there(side, record);
    let command = &walk.build.log.vertices[v].name;
    let is_first = is_copy(command) && !steps::is_link(command) && export.on_one_root.contains(key);
    let gone = if is_first { gone_copies(walk, side, export) } else { gone_children(walk, there, side, &bases) };
    if gone.is_empty()
        && !is_first
        && is_copy(command)
        && let Some(cause) = copied_otherwise(walk, there, side, record)
    {
        return (cause, true);
    }
    let here = &export.index;
    // The old steps below the point where the chains diverge, by the path down to them.
    let later_there = below(there, &gone, |_| true);
    let is_used = |n: usize| export.vertex.contains_key(&n);
    let later_here = Later::new(walk, export, &below(here, &[record], is_used));
    // A step that comes later in this build too has not moved here.
    let comes_later = |n: usize| later_here.keys.contains(&there.records()[n].key);
    let is_this =
        |n: usize| there.records()[n].key == *key || (is_copy(command) && take_the_same(here, record, there, n));
    let skipped = later_there.iter().map(|(n, _)| *n).find(|&n| is_this(n) && !comes_later(n));
    let is_delayed = |n: usize| {
        comes_later(n)
            || (taken(there, n).any(|key| later_here.copied.contains(key))
                && !taken(here, record).any(|key| taken(there, n).any(|other| other == key)))
    };
    let delayed = gone.iter().copied().find(|&n| is_delayed(n)).map(|n| there.records()[n].key.clone());
    match (skipped, delayed) {
        (Some(_), Some(delayed)) => (Cause::StepMoved { instead: delayed }, true),
        (Some(end), None) => (removed(there, &gone, end), true),
        (None, Some(delayed)) => (Cause::StepAdded { before: Some(delayed) }, true),
        (None, None) => (alone(walk, v, record, side, there, &bases, &gone), true),
    }
}

/// The cause if the neighbours of a step tell nothing: the step is elsewhere in the cache, is of another platform, or
/// is new.
fn alone(
    walk: &Walk<'_>,
    v: usize,
    record: usize,
    side: usize,
    there: &Index,
    bases: &[usize],
    gone: &[usize],
) -> Cause {
    let key = walk.export.as_ref().map(|export| &export.index.records()[record].key).cloned().unwrap_or_default();
    let named = |n: &usize| there.records()[*n].key.clone();
    let unused: Vec<usize> =
        walk.sides[side].with_key(&key).iter().copied().filter(|n| !walk.used[side].contains(n)).collect();
    if let Some(elsewhere) = unused.first() {
        let below_base = below(there, bases, |_| true);
        let end = below_base.iter().find(|(n, depth)| *depth > 1 && unused.contains(n));
        return match end {
            Some((end, _)) => removed(there, bases, *end),
            None => Cause::StepMoved { instead: gone.first().map_or_else(|| named(elsewhere), named) },
        };
    }
    let is_there = |&twin: &usize| twin != v && !walk.known(side, twin).is_empty();
    if let Some(&twin) = walk.build.twins(v).iter().find(|twin| is_there(twin)) {
        let instead = walk.known(side, twin).iter().take(NAMED).map(named).collect();
        return Cause::StepChanged { parts: vec![Part::Platform], instead };
    }
    match gone {
        [] => Cause::StepAdded { before: None },
        gone => {
            let instead = gone.iter().take(NAMED).map(named).collect();
            Cause::StepChanged { parts: parts(walk, v, side), instead }
        }
    }
}

/// The steps after a step of this build.
struct Later<'a> {
    keys: HashSet<&'a CacheKey>,
    /// The files that copies take.
    copied: HashSet<&'a CacheKey>,
}

impl<'a> Later<'a> {
    fn new(walk: &Walk<'_>, export: &'a Export, below: &[(usize, usize)]) -> Self {
        let index = &export.index;
        let is_copied = |n: &usize| {
            let vertex = export.vertex.get(n).map(|&v| &walk.build.log.vertices[v]);
            vertex.is_some_and(|vertex| is_copy(&vertex.name))
        };
        let records = below.iter().map(|(n, _)| *n);
        Self {
            keys: records.clone().map(|n| &index.records()[n].key).collect(),
            copied: records.filter(is_copied).flat_map(|n| files(index, n)).collect(),
        }
    }
}

fn is_copy(name: &str) -> bool {
    matches!(steps::instruction(name), "COPY" | "ADD")
}

/// The keys of the files that a record takes beside its base.
fn files(index: &Index, n: usize) -> impl Iterator<Item = &CacheKey> {
    roots(index, n, 1)
}

/// The keys of the files that a record takes, even without a base.
fn taken(index: &Index, n: usize) -> impl Iterator<Item = &CacheKey> {
    roots(index, n, usize::from(index.records()[n].inputs.len() > 1))
}

/// The keys of the roots among a record's inputs, but for the first ones.
fn roots(index: &Index, n: usize, skipped: usize) -> impl Iterator<Item = &CacheKey> {
    let records = index.records();
    let linked = (skipped..records[n].inputs.len()).flat_map(move |at| super::join::linked(&records[n], at));
    linked.filter_map(|n| records.get(n)).filter(|record| record.inputs.is_empty()).map(|record| &record.key)
}

/// Whether two records of two caches take the same files.
fn take_the_same(here: &Index, n: usize, there: &Index, other: usize) -> bool {
    files(here, n).any(|key| files(there, other).any(|other| other == key))
}

/// The records of the cache on the same base that this build does not use any more.
fn gone_children(walk: &Walk<'_>, there: &Index, side: usize, bases: &[usize]) -> Vec<usize> {
    let used = &walk.used[side];
    let mut gone: Vec<usize> = bases.iter().flat_map(|&n| &there.children[n]).copied().collect();
    gone.sort_unstable();
    gone.dedup();
    gone.retain(|n| !used.contains(n) && is_first_input(there, *n, bases));
    gone
}

/// The copies that the cache has onto nothing and that this build has neither there nor with other files.
fn gone_copies(walk: &Walk<'_>, side: usize, export: &Export) -> Vec<usize> {
    let (side, used) = (&walk.sides[side], &walk.used[side]);
    let is_gone = |n: &usize| !used.contains(n) && !export.on_one_root.contains(&side.key(*n));
    side.on_one_root.iter().take(COPIES).copied().filter(is_gone).collect()
}

/// What takes the same files in the cache and is not used any more: with or without `--link`, a copy has its base among
/// its inputs or not.
fn copied_otherwise(walk: &Walk<'_>, there: &Index, side: usize, record: usize) -> Option<Cause> {
    let records = walk.export.as_ref()?.index.records();
    let content = links(&records[record], records.len()).filter(|&n| records[n].inputs.is_empty());
    let used = &walk.used[side];
    // The same step on another base was not changed.
    let is_other = |n: &&usize| !used.contains(n) && there.records()[**n].key != records[record].key;
    let takers = content.flat_map(|n| walk.found_there(side, n)).flat_map(|&n| &there.children[n]).filter(is_other);
    let instead: Vec<CacheKey> = takers.take(NAMED).map(|&n| there.records()[n].key.clone()).collect();
    (!instead.is_empty()).then(|| Cause::StepChanged { parts: vec![Part::CopyOptions], instead })
}

/// The cause of a step that the cache has further down, at `end`: what stood before it is gone, or it is built on
/// something else now.
fn removed(there: &Index, from: &[usize], end: usize) -> Cause {
    match way(there, from, end) {
        Some(removed) => Cause::StepRemoved { removed },
        None => Cause::StepMoved { instead: there.records()[end].key.clone() },
    }
}

/// The keys from one of `from` down to the one before `to`, by first inputs; `None` if there is no such path.
fn way(there: &Index, from: &[usize], to: usize) -> Option<Vec<CacheKey>> {
    let mut way = Vec::new();
    let mut seen = HashSet::new();
    let mut at = to;
    while seen.insert(at) {
        at = super::join::linked(&there.records()[at], 0).next()?;
        way.push(there.records()[at].key.clone());
        if from.contains(&at) {
            way.reverse();
            way.truncate(NAMED);
            return Some(way);
        }
    }
    None
}

/// The parts of a step that may have changed, by its instruction and the steps after it: a change of the environment
/// changes every later `RUN`, a change of a command one step.
pub(super) fn parts(walk: &Walk<'_>, v: usize, side: usize) -> Vec<Part> {
    match steps::instruction(&walk.build.log.vertices[v].name) {
        "COPY" | "ADD" => vec![Part::Paths, Part::CopyOptions],
        "WORKDIR" => vec![Part::WorkingDirectory, Part::User],
        // A working directory is a step of its own, which comes first.
        "RUN" => {
            let around = vec![Part::Environment, Part::BuildArgument, Part::User];
            let is_of_all = || walk.is_first_run(v) && walk.no_run_is_known(side);
            let own = vec![Part::Command, Part::Mounts];
            match later_runs(walk, v, side) {
                (0, 0) if is_of_all() => [own, vec![Part::Platform], around].concat(),
                (0, 0) => [own, around].concat(),
                (_, 0) => own,
                // The cache may have nothing in place of later steps: then they are new, and tell nothing.
                (0, new) if walk.gone_below(v, side) < new => [own, around].concat(),
                (0, _) if is_of_all() => [vec![Part::Platform], around].concat(),
                // Two commands may have been edited at once, more hardly.
                (0, 1) => [around, own].concat(),
                (0, _) => around,
                (_, _) => [own, around].concat(),
            }
        }
        _ => vec![Part::Command, Part::Environment],
    }
}

/// Of the `RUN` steps that build on this one by their first input: how many the cache knows, and how many it does not.
fn later_runs(walk: &Walk<'_>, v: usize, side: usize) -> (usize, usize) {
    let Some(export) = &walk.export else { return (0, 0) };
    let (mut known, mut new) = (0, 0);
    let mut todo = vec![v];
    let mut seen = HashSet::from([v]);
    while let Some(at) = todo.pop() {
        for &(consumer, input) in &walk.build.consumers[at] {
            if input != 0 || !seen.insert(consumer) {
                continue;
            }
            todo.push(consumer);
            let record =
                walk.record(consumer).filter(|_| steps::instruction(&walk.build.log.vertices[consumer].name) == "RUN");
            if let Some(record) = record {
                let is_known = !walk.sides[side].with_key(&export.index.records()[record].key).is_empty();
                known += usize::from(is_known);
                new += usize::from(!is_known);
            }
        }
    }
    (known, new)
}

impl Walk<'_> {
    /// The records of a cache that a record's first input is there.
    fn first_input_there(&self, side: usize, record: usize) -> Vec<usize> {
        let Some(export) = &self.export else { return Vec::new() };
        let record = &export.index.records()[record];
        let first = super::join::linked(record, 0).flat_map(|n| self.found_there(side, n).iter().copied());
        let mut bases: Vec<usize> = first.collect();
        bases.sort_unstable();
        bases.dedup();
        bases
    }

    /// The records of a cache that steps of this build are.
    pub(super) fn used_there(&self, side: usize) -> HashSet<usize> {
        let vertices = 0..self.build.log.vertices.len();
        vertices.flat_map(|v| self.known(side, v).iter().copied()).collect()
    }

    /// How many steps a cache has below what stands there in a step's place.
    fn gone_below(&self, v: usize, side: usize) -> usize {
        let (Some(record), Some(there)) = (self.record(v), &self.sides[side].index) else { return 0 };
        let gone = gone_children(self, there, side, &self.first_input_there(side, record));
        below(there, &gone, |n| !self.used[side].contains(&n)).len()
    }

    /// Whether no `RUN` comes before a step.
    fn is_first_run(&self, v: usize) -> bool {
        let vertices = &self.build.log.vertices;
        let mut at = v;
        for _ in 0..vertices.len() {
            let Some(above) = vertices[at].inputs.first().copied().flatten() else { return true };
            if steps::instruction(&vertices[above].name) == "RUN" {
                return false;
            }
            at = above;
        }
        false
    }

    /// Whether a cache knows the definition of no `RUN` of the build.
    fn no_run_is_known(&self, side: usize) -> bool {
        let Some(export) = &self.export else { return false };
        let runs = (0..self.build.log.vertices.len())
            .filter(|&v| steps::instruction(&self.build.log.vertices[v].name) == "RUN");
        let mut records = runs.filter_map(|v| self.record(v));
        records.all(|record| self.sides[side].with_key(&export.index.records()[record].key).is_empty())
    }
}
