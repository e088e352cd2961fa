//! From a config that may dangle and loop to one that does neither.

use std::collections::BTreeSet;

use cache_core::{CacheConfig, CacheKey, CacheRecord, Digest, RecordLink, Timestamp};

use super::blobs::Verdicts;
use crate::index::{children, keep_records, links, mark_above, parents_first};
use crate::optimize::DroppedResult;

/// A sound config, and what is not in it.
pub(super) struct Salvaged {
    pub(super) config: CacheConfig,
    pub(super) dropped: Vec<DroppedResult>,
    pub(super) dropped_records: Vec<CacheKey>,
}

/// Keeps what is sound; `verdicts` say which blobs are.
pub(super) fn salvage(config: &CacheConfig, verdicts: &Verdicts) -> Salvaged {
    let mut config = config.clone();
    let had_result: Vec<bool> = config.records.iter().map(has_result).collect();
    let dropped = drop_results(&mut config, verdicts);
    drop_links(&mut config);
    let reached = reachable(&config.records);
    cut(&mut config, &reached);
    let keep = keep(&config, &reached, had_result);
    let gone = config.records.iter().zip(&keep).filter(|(_, keep)| !**keep);
    let dropped_records = gone.map(|(record, _)| record.key.clone()).collect();
    Salvaged { config: keep_records(&config, &keep), dropped, dropped_records }
}

fn has_result(record: &CacheRecord) -> bool {
    !record.results.is_empty() || !record.chains.is_empty()
}

/// Drops the results that cannot be loaded.
fn drop_results(config: &mut CacheConfig, verdicts: &Verdicts) -> Vec<DroppedResult> {
    let sound = sound_layers(config, verdicts);
    let layers = &config.layers;
    let is_sound = |layer: i64| usize::try_from(layer).ok().and_then(|layer| sound.get(layer)).copied() == Some(true);
    let has_blob = |layer: i64| {
        let found = usize::try_from(layer).ok().and_then(|layer| layers.get(layer));
        found.is_some_and(|layer| verdicts.is_sound(&layer.blob))
    };
    let top = |layer: Option<i64>| -> Option<Digest> {
        layer.and_then(|layer| usize::try_from(layer).ok()).and_then(|layer| layers.get(layer)).map(|layer| layer.blob)
    };
    let mut dropped = Vec::new();
    for record in &mut config.records {
        let key = &record.key;
        let mut drop_result = |created_at: Timestamp, layer: Option<i64>| {
            dropped.push(DroppedResult { key: key.clone(), created_at, top: top(layer) });
            false
        };
        record.results.retain(|result| is_sound(result.layer) || drop_result(result.created_at, Some(result.layer)));
        record.chains.retain(|chain| {
            chain.layers.iter().all(|&layer| has_blob(layer))
                || drop_result(chain.created_at, chain.layers.last().copied())
        });
    }
    dropped
}

/// Which layers end at the bottom with only sound blobs on the way.
fn sound_layers(config: &CacheConfig, verdicts: &Verdicts) -> Vec<bool> {
    let layers = &config.layers;
    let mut known: Vec<Option<bool>> = vec![None; layers.len()];
    let mut is_open = vec![false; layers.len()];
    for start in 0..layers.len() {
        let mut path = Vec::new();
        let mut at = i64::try_from(start).unwrap_or(-2);
        let mut is_sound = loop {
            let layer = usize::try_from(at).ok().filter(|&layer| layer < layers.len());
            match layer {
                None => break at == -1,
                Some(layer) if is_open[layer] => break false,
                Some(layer) => match known[layer] {
                    Some(is_sound) => break is_sound,
                    None => {
                        is_open[layer] = true;
                        path.push(layer);
                        at = layers[layer].parent;
                    }
                },
            }
        };
        for layer in path.into_iter().rev() {
            is_sound = is_sound && verdicts.is_sound(&layers[layer].blob);
            (known[layer], is_open[layer]) = (Some(is_sound), false);
        }
    }
    known.into_iter().map(|known| known == Some(true)).collect()
}

/// Drops links that lead to no record, or to one that BuildKit never stores.
fn drop_links(config: &mut CacheConfig) {
    let is_there: Vec<bool> = config.records.iter().map(|record| !record.key.is_random()).collect();
    let leads = |link: i64| usize::try_from(link).ok().and_then(|linked| is_there.get(linked)).copied() == Some(true);
    for input in config.records.iter_mut().flat_map(|record| &mut record.inputs) {
        input.retain(|link| leads(link.link));
    }
}

/// Which records can be reached from the roots, every input by at least one alternative. Any other hangs on nothing: an
/// input of it is empty or leads in a circle only.
fn reachable(records: &[CacheRecord]) -> Vec<bool> {
    let children = children(records);
    let is_root = |n: &usize| records[*n].inputs.is_empty() && !records[*n].key.is_random();
    let mut reached = vec![false; records.len()];
    let mut found: Vec<usize> = (0..records.len()).filter(is_root).collect();
    found.iter().for_each(|&n| reached[n] = true);
    while let Some(n) = found.pop() {
        for &child in &children[n] {
            let is_reached = |link: &RecordLink| usize::try_from(link.link).is_ok_and(|linked| reached[linked]);
            let record = &records[child];
            let is_whole = record.inputs.iter().all(|input| input.iter().any(is_reached));
            if is_whole && !reached[child] && !record.key.is_random() {
                reached[child] = true;
                found.push(child);
            }
        }
    }
    reached
}

/// Ranks the records that are reached, so that every input has at least one alternative of a lower rank. Where there is
/// no loop all of them are; at a loop the record goes first that has the fewest others to wait for.
fn rank(records: &[CacheRecord], reached: &[bool]) -> Vec<Option<usize>> {
    let children = children(records);
    let mut waits: Vec<usize> = (0..records.len()).map(|n| links(&records[n], records.len()).count()).collect();
    let mut ranks: Vec<Option<usize>> = vec![None; records.len()];
    let mut ready: BTreeSet<(usize, usize)> =
        (0..records.len()).filter(|&n| reached[n] && records[n].inputs.is_empty()).map(|n| (0, n)).collect();
    let mut next = 0;
    while let Some((_, n)) = ready.pop_first() {
        ranks[n] = Some(next);
        next += 1;
        for &child in children[n].iter().filter(|&&child| reached[child]) {
            let own = links(&records[child], records.len()).filter(|&linked| linked == n).count();
            let before = waits[child];
            waits[child] -= own;
            let is_ranked = |link: &RecordLink| usize::try_from(link.link).is_ok_and(|linked| ranks[linked].is_some());
            let is_ready = records[child].inputs.iter().all(|input| input.iter().any(is_ranked));
            ready.remove(&(before, child));
            if is_ready && ranks[child].is_none() {
                ready.insert((waits[child], child));
            }
        }
    }
    ranks
}

/// Drops links to what is not reached, and those that lead back in a loop.
fn cut(config: &mut CacheConfig, reached: &[bool]) {
    let leads = |link: i64| usize::try_from(link).is_ok_and(|linked| reached[linked]);
    for input in config.records.iter_mut().flat_map(|record| &mut record.inputs) {
        input.retain(|link| leads(link.link));
    }
    let ranks = rank(&config.records, reached);
    let knots = knots(&config.records);
    for (n, record) in config.records.iter_mut().enumerate() {
        for input in &mut record.inputs {
            input.retain(|link| {
                let linked = usize::try_from(link.link).unwrap_or(usize::MAX);
                knots.get(linked) != knots.get(n) || ranks.get(linked) < ranks.get(n)
            });
        }
    }
}

/// Numbers the records so that two have the same number when each leads to the other (Kosaraju's algorithm).
fn knots(records: &[CacheRecord]) -> Vec<usize> {
    let children = children(records);
    let mut finished = Vec::with_capacity(records.len());
    let mut seen = vec![false; records.len()];
    for start in 0..records.len() {
        let mut path = if std::mem::replace(&mut seen[start], true) { Vec::new() } else { vec![(start, 0)] };
        while let Some((n, at)) = path.last_mut() {
            match children[*n].get(*at) {
                Some(&child) => {
                    *at += 1;
                    if !std::mem::replace(&mut seen[child], true) {
                        path.push((child, 0));
                    }
                }
                None => {
                    finished.push(*n);
                    path.pop();
                }
            }
        }
    }
    let mut knots: Vec<Option<usize>> = vec![None; records.len()];
    for &start in finished.iter().rev() {
        let mut todo = if knots[start].is_none() { vec![start] } else { Vec::new() };
        while let Some(n) = todo.pop() {
            if knots[n].is_none() {
                knots[n] = Some(start);
                todo.extend(links(&records[n], records.len()).filter(|&linked| knots[linked].is_none()));
            }
        }
    }
    knots.into_iter().zip(0..).map(|(knot, n)| knot.unwrap_or(n)).collect()
}

/// Which records stay: those that lead to a sound result, those that never led to one, and what these hang on.
fn keep(config: &CacheConfig, reached: &[bool], had_result: Vec<bool>) -> Vec<bool> {
    let records = &config.records;
    let order = parents_first(records, |n| reached[n]);
    let mut led = had_result;
    mark_above(records, &order, &mut led);
    let mut keep: Vec<bool> = records.iter().map(has_result).collect();
    mark_above(records, &order, &mut keep);
    for n in 0..records.len() {
        keep[n] = (keep[n] || !led[n]) && reached[n];
    }
    mark_above(records, &order, &mut keep);
    keep
}
