//! The cost of misses: steps grouped by cause, and where the time went.

use std::collections::HashMap;

use cache_core::Digest;

use super::cause::CommonTrait;
use super::log::StepOutcome;
use super::steps::{self, Kind};
use super::walk::{Verdict, Walk};
use super::{CauseGroup, Doubted, Explanation, Miss, Step, Times};
use crate::index::result;

/// Orders the findings as the build ran, with their cost.
pub(super) fn explanation(walk: &Walk<'_>, verdicts: Vec<Option<Verdict>>, has_no_log: bool) -> Explanation {
    let order = display_order(walk);
    let groups = grouped(walk, &verdicts);
    let place: HashMap<usize, usize> = order.iter().enumerate().map(|(place, &v)| (v, place)).collect();
    let mut causes: Vec<(usize, CauseGroup)> = Vec::new();
    for (head, members) in groups.members {
        let Some(verdict) = &verdicts[head] else { continue };
        let mut followers: Vec<usize> = members.iter().filter_map(|v| place.get(v).copied()).collect();
        followers.sort_unstable();
        let Some(&first) = place.get(&head) else { continue };
        followers.retain(|step| *step != first);
        let time = members.iter().map(|&v| walk.build.log.vertices[v].time()).sum();
        causes.push((
            head,
            CauseGroup { cause: verdict.cause.clone(), is_certain: verdict.is_certain, first, followers, time },
        ));
    }
    causes.sort_by_key(|(_, group)| (std::cmp::Reverse(group.time), group.first));
    let at: HashMap<usize, usize> = causes.iter().enumerate().map(|(at, (head, _))| (*head, at)).collect();
    let mut verdicts = verdicts;
    let steps = order.iter().map(|&v| {
        let group = groups.head[v].and_then(|head| at.get(&head).copied());
        step(walk, v, verdicts[v].take().zip(group), has_no_log)
    });
    let steps = steps.collect();
    let causes = causes.into_iter().map(|(_, group)| group).collect();
    Explanation { steps, causes, times: times(walk), notes: Vec::new(), doubted: doubted(walk) }
}

fn step(walk: &Walk<'_>, v: usize, verdict: Option<(Verdict, usize)>, has_no_log: bool) -> Step {
    let vertex = &walk.build.log.vertices[v];
    let (record, layer) = walk.record_and_layer(v);
    Step {
        name: vertex.name.clone(),
        stage: steps::stage(&vertex.name).map(|stage| stage.name.to_owned()),
        vertex: (!has_no_log).then_some(vertex.digest),
        outcome: vertex.outcome,
        time: vertex.time(),
        spans: vertex.spans.clone(),
        error: vertex.error.clone(),
        record,
        layer,
        miss: verdict.map(|(verdict, group)| Miss {
            cause: verdict.cause,
            is_certain: verdict.is_certain,
            also: verdict.also,
            group,
            elsewhere: verdict.elsewhere,
        }),
    }
}

/// Steps by the step at which their cause was found.
struct Groups {
    /// For each vertex the first one of its group.
    head: Vec<Option<usize>>,
    members: Vec<(usize, Vec<usize>)>,
}

fn grouped(walk: &Walk<'_>, verdicts: &[Option<Verdict>]) -> Groups {
    let mut head: Vec<Option<usize>> = vec![None; verdicts.len()];
    let mut members: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut at: HashMap<usize, usize> = HashMap::new();
    let mut by_shared: HashMap<CommonTrait, usize> = HashMap::new();
    for &v in &walk.build.order {
        let Some(verdict) = &verdicts[v] else { continue };
        let instruction = || steps::without_platform(&walk.build.log.vertices[v].name);
        let shared =
            verdict.cause.shared().unwrap_or_else(|| CommonTrait::Instruction(verdict.cause.as_str(), instruction()));
        let followed = verdict.follows.iter().find_map(|&input| head[input]);
        let of = followed.unwrap_or_else(|| *by_shared.entry(shared).or_insert(v));
        head[v] = Some(of);
        let group = *at.entry(of).or_insert_with(|| {
            members.push((of, Vec::new()));
            members.len() - 1
        });
        members[group].1.push(v);
    }
    Groups { head, members }
}

/// The steps, stage by stage as they began, each stage in its own order.
fn display_order(walk: &Walk<'_>) -> Vec<usize> {
    let vertices = &walk.build.log.vertices;
    let is_step = |v: &usize| walk.build.kinds[*v] == Kind::Step;
    let began = |v: usize| vertices[v].spans.first().map(|span| span.start);
    let mut depth = vec![0_usize; vertices.len()];
    for &v in &walk.build.order {
        depth[v] = vertices[v].inputs.iter().flatten().map(|&input| depth[input] + 1).max().unwrap_or(0);
    }
    // The position of a stage is the depth of its first step, so that the stages it is built on come before it.
    let mut of_stage: HashMap<Option<&str>, usize> = HashMap::new();
    let stage = |v: usize| steps::stage(&vertices[v].name).map(|stage| stage.name);
    for v in (0..vertices.len()).filter(is_step) {
        let first = of_stage.entry(stage(v)).or_insert(usize::MAX);
        *first = depth[v].min(*first);
    }
    let mut last_of_stage: HashMap<Option<&str>, usize> = HashMap::new();
    for v in (0..vertices.len()).filter(is_step) {
        let last = last_of_stage.entry(stage(v)).or_insert(0);
        *last = depth[v].max(*last);
    }
    let mut order: Vec<usize> = (0..vertices.len()).filter(is_step).collect();
    order.sort_by_cached_key(|&v| {
        let of = stage(v);
        (of_stage[&of], last_of_stage[&of], of.map(str::to_owned), depth[v], began(v), v)
    });
    order
}

fn times(walk: &Walk<'_>) -> Times {
    let log = walk.build.log;
    let mut times = Times { started: log.started(), wall: log.duration(), ..Times::default() };
    for (v, vertex) in log.vertices.iter().enumerate() {
        let time = match (walk.build.kinds[v], vertex.outcome) {
            (Kind::Step, StepOutcome::Hit) => &mut times.hits,
            (Kind::Step, _) => &mut times.missed,
            _ => &mut times.other,
        };
        *time = time.saturating_add(vertex.time());
    }
    times
}

/// The blobs of results that imported caches have for steps that ran.
fn doubted(walk: &Walk<'_>) -> Vec<Doubted> {
    let missed: Vec<usize> = (0..walk.build.log.vertices.len()).filter(|&v| walk.missed(v)).collect();
    let mut doubted = Vec::new();
    for (cache, side) in walk.sides.iter().enumerate() {
        let records: Vec<usize> = missed.iter().flat_map(|&v| walk.known(cache, v).iter().copied()).collect();
        let mut blobs: Vec<Digest> = side.blobs(&records);
        blobs.retain(|blob| !side.cache.lost.contains(blob));
        doubted.extend(blobs.into_iter().map(|blob| Doubted { cache, blob }));
    }
    doubted
}

impl Walk<'_> {
    /// The key and the top layer of a vertex's record, in the export or else in the cache that it hit in.
    fn record_and_layer(&self, v: usize) -> (Option<cache_core::CacheKey>, Option<Digest>) {
        let of = |index: &crate::index::Index, n: usize| {
            let record = index.records().get(n)?;
            let layer = result(record).and_then(|(layer, _)| index.config().layers.get(layer)).map(|layer| layer.blob);
            Some((record.key.clone(), layer))
        };
        let found = match &self.export {
            Some(export) => self.record(v).and_then(|n| of(&export.index, n)),
            None if self.missed(v) => None,
            None => (0..self.sides.len()).find_map(|side| {
                let n = *self.known(side, v).first()?;
                of(self.sides[side].index.as_ref()?, n)
            }),
        };
        found.map_or((None, None), |(key, layer)| (Some(key), layer))
    }
}
