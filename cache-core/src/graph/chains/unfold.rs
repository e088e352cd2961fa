//! Merging equal records whose links would then form a loop.
//!
//! The order of the records depends only on their content: their distance from the roots, then a digest over everything
//! above them. Each is merged with the first equal record; if that is above or below it, the lower is merged into the
//! upper, and those of its inputs that would form a loop stay a record of their own. So no lookup is lost, and in the
//! end no two records are equal.

use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::{Alternative, CacheChains, Link};
use crate::model::Digest;

/// Where a record stands: how far below the roots, and a digest over everything above it.
type Place = (u32, Digest);

/// How many records may be split off for each record of a loop; beyond that, what leads back is dropped, as BuildKit
/// drops it.
const SPLITS: usize = 4;

impl CacheChains {
    /// Merges the pieces as far as that closes no loop.
    pub(super) fn unfold(&mut self, mut pieces: Vec<u32>) {
        let mut places: HashMap<u32, Place> = HashMap::new();
        let mut splits = pieces.len().saturating_mul(SPLITS);
        let among: HashSet<u32> = pieces.iter().copied().collect();
        for id in self.in_order() {
            if !among.contains(&id) {
                self.find_place(id, &mut places);
            }
        }
        loop {
            let ranked = self.rank(&mut pieces, &mut places);
            let ranks: HashMap<u32, usize> = ranked.iter().enumerate().map(|(rank, &id)| (id, rank)).collect();
            let mut has_changed = false;
            for &id in &ranked {
                while let Some(first) = self.first_same(id, &ranks) {
                    has_changed = true;
                    let (first, second) = if ranks[&first] < ranks[&id] { (first, id) } else { (id, first) };
                    let split = self.make_one(first, second, splits > 0);
                    splits = splits.saturating_sub(split.len());
                    pieces.extend(split);
                }
            }
            if !has_changed {
                return;
            }
        }
    }

    /// The pieces in order, without duplicates.
    fn rank(&mut self, pieces: &mut Vec<u32>, places: &mut HashMap<u32, Place>) -> Vec<u32> {
        pieces.retain(|&id| self.records[id as usize].merged_into.is_none());
        pieces.sort_unstable_by_key(|&id| self.records[id as usize].order);
        for id in pieces.iter() {
            places.remove(id);
        }
        for &id in pieces.iter() {
            self.find_place(id, places);
        }
        let mut ranked = pieces.clone();
        ranked.sort_unstable_by_key(|id| (places[id], *id));
        for (&a, &b) in ranked.iter().zip(ranked.iter().skip(1)) {
            if places[&a] == places[&b] {
                self.contract(self.find(a), b);
            }
        }
        ranked.retain(|&id| self.records[id as usize].merged_into.is_none());
        ranked
    }

    fn find_place(&self, id: u32, places: &mut HashMap<u32, Place>) {
        let above = |from: &Alternative| places.get(&from.record);
        let inputs = self.records[id as usize].inputs.iter().flatten();
        let depth = inputs.filter_map(above).map(|(depth, _)| depth + 1).max().unwrap_or(0);
        let digest = self.digest_above(id, |from| above(from).map(|(_, digest)| *digest));
        places.insert(id, (depth, digest));
    }

    /// The record of the lowest rank among those equal to this one.
    fn first_same(&self, id: u32, ranks: &HashMap<u32, usize>) -> Option<u32> {
        let record = &self.records[id as usize];
        if record.merged_into.is_some() {
            return None;
        }
        let same = self.candidates(record.key, &record.inputs, Some(record.inputs.len()));
        same.into_iter().filter(|other| *other != id && ranks.contains_key(other)).min_by_key(|other| ranks[other])
    }

    /// Merges two records; returns the records that were split off.
    fn make_one(&mut self, first: u32, second: u32, may_split: bool) -> Vec<u32> {
        if self.contract(first, second) {
            return Vec::new();
        }
        let is_above = |a: u32, b: u32| self.records[a as usize].order < self.records[b as usize].order;
        let (upper, lower) = if is_above(first, second) { (first, second) } else { (second, first) };
        let split = if may_split { self.split_off(upper, lower) } else { Vec::new() };
        self.absorb(upper, lower);
        split
    }

    /// Copies of `lower` for those of its alternatives that hang on `upper` and cannot become alternatives of it.
    ///
    /// The copies share nothing with each other: the first of them leads back by the first input, the next by the
    /// second and not by the first, and so on.
    fn split_off(&mut self, upper: u32, lower: u32) -> Vec<u32> {
        let below = self.descendants(upper);
        let record = self.records[lower as usize].clone();
        let leads_back = |from: &&Alternative| below.contains(&from.record);
        let back: Vec<Vec<Alternative>> =
            record.inputs.iter().map(|input| input.iter().filter(leads_back).copied().collect()).collect();
        let kept: Vec<Vec<Alternative>> = record
            .inputs
            .iter()
            .map(|input| input.iter().filter(|from| !leads_back(from)).copied().collect())
            .collect();
        let children = self.links_below(lower);
        let mut split = Vec::new();
        for at in (0..back.len()).filter(|&at| !back[at].is_empty()) {
            let copy = self.push_record(record.key, record.inputs.len());
            let inputs = (0..back.len()).map(|n| match n.cmp(&at) {
                std::cmp::Ordering::Less => &kept[n],
                std::cmp::Ordering::Equal => &back[n],
                std::cmp::Ordering::Greater => &record.inputs[n],
            });
            for (input, alternatives) in (0..).zip(inputs) {
                alternatives.iter().for_each(|&from| self.link(copy, input, from));
            }
            for link in &children {
                self.link(link.child, link.input, Alternative { record: copy, ..link.from });
            }
            record.results.iter().for_each(|result| self.add_result(copy, result.clone()));
            split.push(copy);
        }
        split
    }

    /// Everything below a record, itself included.
    fn descendants(&self, of: u32) -> HashSet<u32> {
        let mut found = HashSet::from_iter([of]);
        let mut todo = vec![of];
        while let Some(id) = todo.pop() {
            todo.extend(self.records[id as usize].children.iter().filter(|&&child| found.insert(child)));
        }
        found
    }

    /// The links that lead to a record from below.
    fn links_below(&self, record: u32) -> Vec<Link> {
        let mut children = self.records[record as usize].children.clone();
        children.sort_unstable();
        children.dedup();
        let mut links = Vec::new();
        for child in children {
            for (input, alternatives) in (0..).zip(&self.records[child as usize].inputs) {
                let own = alternatives.iter().filter(|from| from.record == record);
                links.extend(own.map(|&from| Link { child, input, from }));
            }
        }
        links
    }
}
