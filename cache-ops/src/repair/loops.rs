//! Finds the records that can be reached from the roots, and cuts loops.

use std::collections::BTreeSet;

use cache_core::CacheConfig;
use cache_core::manifest::{CacheRecord, RecordLink};

use super::knot::Knot;
use crate::index::{children, links};

/// The records that can be reached from the roots, every input by at least one alternative. All others have an input
/// that is empty or only leads into a loop.
pub(super) fn reachable(records: &[CacheRecord]) -> Vec<bool> {
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

/// Ranks the records that are reached, so that every input has at least one alternative of a lower rank. Without
/// a loop, all alternatives have one. In a loop, the record that waits for the fewest others is ranked first.
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

/// Drops links to unreachable records, and links that close a loop.
///
/// First, links to records that need the record itself: no path from the roots goes through such a link, so the graph
/// without it is the one from before the loop. Then, in remaining loops, links to a later rank.
pub(super) fn cut(config: &mut CacheConfig, reached: &[bool]) {
    let leads = |link: i64| usize::try_from(link).is_ok_and(|linked| reached[linked]);
    for input in config.records.iter_mut().flat_map(|record| &mut record.inputs) {
        input.retain(|link| leads(link.link));
    }
    let before = knots(&config.records);
    for (n, linked) in Knot::all(&config.records, &before).iter().flat_map(Knot::returns) {
        let links_back = |link: &RecordLink| usize::try_from(link.link).is_ok_and(|link| link == linked);
        config.records[n].inputs.iter_mut().for_each(|input| input.retain(|link| !links_back(link)));
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
