//! Leaves: the records that no other record links to, and the record that joins several of them.
//!
//! BuildKit v0.25.0 and later (v0.32.2 and upstream's newest among them) walks a cache upwards once from each leaf, and
//! within the second walk it drops all links but one to a record that the first walk has stored
//! (`cache/remotecache/v1/cachestorage.go`, `addItemToStorage`). With one leaf there is one walk and nothing is lost.
//! So what has several leaves is written with one more record, which has no result and links to all of them. BuildKit
//! never asks for its key, and never exports it, since an export walks upwards from results.
//!
//! [`CacheManifest`](crate::CacheManifest) takes that record off when it is made and puts it on when it is encoded:
//! nothing in between sees it.

use super::{CacheKey, CacheRecord, RecordLink};
use crate::model::Digest;

/// The text whose digest is the key of a joining record.
///
/// The key is the same everywhere, so that the record is known wherever it turns up. BuildKit looks keys up in each
/// cache on its own, so two joined caches that are imported side by side do not meet; were their records ever in one
/// graph, the joining records of caches that share a leaf would become one, and others stay apart.
const JOINS: &[u8] = b"buildcache: the record that joins the leaves of a cache";

/// A record that links to every leaf, if there are several. It has to come last, since links are places in the list.
///
/// All leaves are alternatives of one input, which takes the fewest bytes.
#[must_use]
pub fn joining_record(records: &[CacheRecord]) -> Option<CacheRecord> {
    let leaves = leaves(records, &link_counts(records));
    let link = |&leaf: &usize| RecordLink { selector: String::new(), link: i64::try_from(leaf).unwrap_or(i64::MAX) };
    let inputs = vec![leaves.iter().map(link).collect()];
    (leaves.len() > 1).then(|| CacheRecord { key: joining_key(), inputs, ..CacheRecord::default() })
}

/// Removes the joining records; returns whether there were any.
///
/// Only a record that nothing depends on is one: it has no result, no other record links to it, and all that it links
/// to is there. Any other record with the key is a record like all others.
pub(super) fn part_leaves(records: &mut Vec<CacheRecord>) -> bool {
    let key = joining_key();
    if records.iter().all(|record| record.key != key) {
        return false;
    }
    let is_joining: Vec<bool> = records.iter().map(|record| record.key == key && joins(record, records)).collect();
    let mut links = link_counts(records);
    let mut is_taken = vec![false; records.len()];
    let mut todo: Vec<usize> = (0..records.len()).filter(|&n| is_joining[n] && links[n] == 0).collect();
    while let Some(n) = todo.pop() {
        is_taken[n] = true;
        for above in linked(&records[n], records.len()) {
            links[above] -= 1;
            if is_joining[above] && links[above] == 0 {
                todo.push(above);
            }
        }
    }
    remove(records, &is_taken);
    is_taken.contains(&true)
}

/// The number of leaves, where BuildKit loses links: several lead up to one record that has more than two links.
///
/// With two, each walk meets it only once. A few caches with more lose nothing either, but to tell these apart needs
/// the records above each pair of leaves.
pub(crate) fn split_leaves(records: &[CacheRecord]) -> Option<usize> {
    let links = link_counts(records);
    if links.iter().all(|links| *links <= 2) {
        return None;
    }
    let leaves = leaves(records, &links);
    let mut below = vec![Below::Nothing; records.len()];
    for &leaf in &leaves {
        let mut todo = vec![leaf];
        while let Some(n) = todo.pop() {
            let found = below[n].and(leaf);
            if found != below[n] {
                below[n] = found;
                todo.extend(linked(&records[n], records.len()));
            }
        }
    }
    let is_lossy = below.iter().zip(links).any(|(below, links)| *below == Below::Several && links > 2);
    is_lossy.then_some(leaves.len())
}

/// The leaves that a record leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    One(usize),
    Several,
}

impl Below {
    fn and(self, leaf: usize) -> Self {
        match self {
            Self::Nothing => Self::One(leaf),
            Self::One(other) if other == leaf => self,
            _ => Self::Several,
        }
    }
}

fn joining_key() -> CacheKey {
    Digest::sha256(JOINS).into()
}

/// Whether a record with the joining key has the form that joining records have.
fn joins(record: &CacheRecord, records: &[CacheRecord]) -> bool {
    let exists = |link: &RecordLink| {
        let linked = usize::try_from(link.link).ok().and_then(|linked| records.get(linked));
        linked.is_some_and(|linked| !linked.key.is_random())
    };
    let is_sound = |input: &Vec<RecordLink>| !input.is_empty() && input.iter().all(exists);
    let has_result = !record.results.is_empty() || !record.chains.is_empty();
    !has_result && !record.inputs.is_empty() && record.inputs.iter().all(is_sound)
}

/// The records that no record links to; random keys are never stored.
fn leaves(records: &[CacheRecord], links: &[usize]) -> Vec<usize> {
    (0..records.len()).filter(|&n| links[n] == 0 && !records[n].key.is_random()).collect()
}

/// For each record how many links lead to it.
fn link_counts(records: &[CacheRecord]) -> Vec<usize> {
    let mut counts = vec![0; records.len()];
    records.iter().flat_map(|record| linked(record, records.len())).for_each(|linked| counts[linked] += 1);
    counts
}

/// The records that a record links to, of those that exist.
fn linked(record: &CacheRecord, count: usize) -> impl Iterator<Item = usize> {
    let links = record.inputs.iter().flatten().filter_map(|link| usize::try_from(link.link).ok());
    links.filter(move |&linked| linked < count)
}

/// Removes records to which no other one links. Links to later records are renumbered; links to no record stay.
fn remove(records: &mut Vec<CacheRecord>, is_removed: &[bool]) {
    let mut next = 0;
    let place = |&is_removed: &bool| {
        let place = next;
        next += i64::from(!is_removed);
        place
    };
    let places: Vec<i64> = is_removed.iter().map(place).collect();
    let mut removed = is_removed.iter();
    records.retain(|_| removed.next() != Some(&true));
    for link in records.iter_mut().flat_map(|record| &mut record.inputs).flatten() {
        if let Some(&place) = usize::try_from(link.link).ok().and_then(|linked| places.get(linked)) {
            link.link = place;
        }
    }
}

#[cfg(test)]
mod tests;
