//! A topological order that is kept while links are added (Pearce and Kelly, 2006), and the merging of two records.
//!
//! The order makes the loop guard cheap: a link from an earlier record to a later one can close no loop, and any other
//! is decided by looking at the records between the two only.

use foldhash::HashSet;

use super::{Alternative, CacheChains, Edge, Link};

impl CacheChains {
    /// Reorders so that a link from `parent` to `child` fits; false when it would close a loop.
    pub(super) fn make_room(&mut self, parent: u32, child: u32) -> bool {
        if parent == child {
            return false;
        }
        let (low, high) = (self.place(child), self.place(parent));
        if high < low {
            return true;
        }
        let Some(after) = self.descendants_until(child, parent, high) else {
            return false;
        };
        let before = self.ancestors_down_to(parent, low);
        self.reorder(before, after);
        true
    }

    /// Whether one of the two can be reached from the other.
    fn are_related(&self, a: u32, b: u32) -> bool {
        let (first, last) = if self.place(a) < self.place(b) { (a, b) } else { (b, a) };
        self.descendants_until(first, last, self.place(last)).is_none()
    }

    fn place(&self, record: u32) -> u32 {
        self.records[record as usize].order
    }

    /// The descendants of `from`, itself included, that stand no later than `limit`; `None` when `target` is one.
    fn descendants_until(&self, from: u32, target: u32, limit: u32) -> Option<Vec<u32>> {
        let mut found = vec![from];
        let mut seen = HashSet::from_iter([from]);
        let mut at = 0;
        while let Some(&record) = found.get(at) {
            for &child in &self.records[record as usize].children {
                if child == target {
                    return None;
                }
                if self.place(child) < limit && seen.insert(child) {
                    found.push(child);
                }
            }
            at += 1;
        }
        Some(found)
    }

    /// The ancestors of `from`, itself included, that stand no earlier than `limit`.
    fn ancestors_down_to(&self, from: u32, limit: u32) -> Vec<u32> {
        let mut found = vec![from];
        let mut seen = HashSet::from_iter([from]);
        let mut at = 0;
        while let Some(&record) = found.get(at) {
            for parent in self.records[record as usize].inputs.iter().flatten() {
                if self.place(parent.record) > limit && seen.insert(parent.record) {
                    found.push(parent.record);
                }
            }
            at += 1;
        }
        found
    }

    /// Reassigns the places of both groups: first `before`, then `after`, each in its old order.
    fn reorder(&mut self, mut before: Vec<u32>, mut after: Vec<u32>) {
        before.sort_unstable_by_key(|&record| self.place(record));
        after.sort_unstable_by_key(|&record| self.place(record));
        before.append(&mut after);
        let mut places: Vec<u32> = before.iter().map(|&record| self.place(record)).collect();
        places.sort_unstable();
        for (record, place) in before.into_iter().zip(places) {
            self.records[record as usize].order = place;
        }
    }

    /// Merges `other` into `main`: all its links, in and out, and its results. Returns false without changes if one of
    /// the two is an ancestor of the other, since that would close a loop.
    pub(super) fn contract(&mut self, main: u32, other: u32) -> bool {
        if main == other || self.are_related(main, other) {
            self.has_cut = true;
            return false;
        }
        self.absorb(main, other);
        true
    }

    /// Moves everything of `other` to `main`, and drops those of its links that would close a loop.
    pub(super) fn absorb(&mut self, main: u32, other: u32) {
        let key = self.records[other as usize].key;
        let inputs = std::mem::take(&mut self.records[other as usize].inputs);
        for (input, from) in numbered(&inputs) {
            self.unlink(other, key, input, from);
        }
        let children: HashSet<u32> = std::mem::take(&mut self.records[other as usize].children).into_iter().collect();
        let mut moved = Vec::new();
        for child in children {
            moved.extend(self.take_links_from(child, other));
        }
        moved.sort_unstable_by_key(|&(child, input, from)| (child, input, from));
        self.records[other as usize].merged_into = Some(main);
        for (input, from) in numbered(&inputs) {
            self.link(main, input, from);
        }
        for (child, input, from) in moved {
            self.link(child, input, Alternative { record: main, ..from });
        }
        for result in std::mem::take(&mut self.records[other as usize].results) {
            self.add_result(main, result);
        }
    }

    /// Removes a link that is no longer among the child's inputs.
    fn unlink(&mut self, child: u32, key: u32, input: u32, from: Alternative) {
        self.links.remove(&Link { child, input, from });
        let edge = Edge { parent: from.record, selector: from.selector, input, key };
        if let Some(below) = self.below.get_mut(&edge) {
            below.retain(|&record| record != child);
        }
        let children = &mut self.records[from.record as usize].children;
        if let Some(at) = children.iter().position(|&record| record == child) {
            children.swap_remove(at);
        }
    }

    /// Takes every link out of `child` that leads to `parent`.
    fn take_links_from(&mut self, child: u32, parent: u32) -> Vec<(u32, u32, Alternative)> {
        let record = &mut self.records[child as usize];
        let key = record.key;
        let mut taken = Vec::new();
        for (input, alternatives) in (0..).zip(&mut record.inputs) {
            taken.extend(alternatives.extract_if(.., |from| from.record == parent).map(|from| (child, input, from)));
        }
        for &(child, input, from) in &taken {
            self.unlink(child, key, input, from);
        }
        taken
    }
}

fn numbered(inputs: &[Vec<Alternative>]) -> impl Iterator<Item = (u32, Alternative)> {
    (0..).zip(inputs).flat_map(|(input, from)| from.iter().map(move |&from| (input, from)))
}
