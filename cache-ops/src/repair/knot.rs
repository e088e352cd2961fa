//! Finds in a set of records that all lead to each other the links that only lead back.

use std::collections::BTreeMap;

use cache_core::manifest::CacheRecord;

/// The most records of a knot. The work for one is this times its links; larger knots are not examined.
const MAX_RECORDS: usize = 1000;

/// Records that each lead to every other one. They are numbered from zero here, and so are their open inputs: those
/// without an alternative outside, which is always there.
pub(super) struct Knot {
    /// The number of each record in the config.
    members: Vec<usize>,
    /// For each record those of the knot that it links to.
    links: Vec<Vec<usize>>,
    /// For each record the open inputs that it is an alternative of.
    serves: Vec<Vec<usize>>,
    /// For each open input its record.
    owners: Vec<usize>,
    /// For each record how many open inputs it has.
    waits: Vec<usize>,
}

impl Knot {
    /// The knots of more than one record. `knots` has one number for each record, the same for those of one knot.
    pub(super) fn all(records: &[CacheRecord], knots: &[usize]) -> Vec<Self> {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (n, &knot) in knots.iter().enumerate() {
            members.entry(knot).or_default().push(n);
        }
        let mut places = vec![0; records.len()];
        for members in members.values() {
            members.iter().enumerate().for_each(|(place, &n)| places[n] = place);
        }
        let place = |of: usize, link: i64| {
            let linked = usize::try_from(link).ok().filter(|&linked| knots.get(linked) == knots.get(of))?;
            places.get(linked).copied()
        };
        let tied = members.into_values().filter(|members| (2..=MAX_RECORDS).contains(&members.len()));
        tied.map(|members| Self::new(records, members, place)).collect()
    }

    fn new(records: &[CacheRecord], members: Vec<usize>, place: impl Fn(usize, i64) -> Option<usize>) -> Self {
        let none = || vec![Vec::new(); members.len()];
        let (mut links, mut serves, mut owners, mut waits) = (none(), none(), Vec::new(), vec![0; members.len()]);
        for (at, &n) in members.iter().enumerate() {
            for input in &records[n].inputs {
                let inner: Vec<usize> = input.iter().filter_map(|link| place(n, link.link)).collect();
                links[at].extend_from_slice(&inner);
                if inner.len() == input.len() {
                    inner.iter().for_each(|&linked| serves[linked].push(owners.len()));
                    owners.push(at);
                    waits[at] += 1;
                }
            }
        }
        Self { members, links, serves, owners, waits }
    }

    /// The links, each from its record to the one it names, to records that cannot be reached without that record.
    pub(super) fn returns(&self) -> Vec<(usize, usize)> {
        let mut returns = Vec::new();
        for (at, links) in self.links.iter().enumerate() {
            let reached = self.reached_without(at);
            let back = links.iter().filter(|&&linked| !reached[linked]);
            returns.extend(back.map(|&linked| (self.members[at], self.members[linked])));
        }
        returns
    }

    /// Which records every input of which can be led to the outside without one of them.
    fn reached_without(&self, left_out: usize) -> Vec<bool> {
        let mut reached = vec![false; self.members.len()];
        let mut is_served = vec![false; self.owners.len()];
        let mut waits = self.waits.clone();
        let mut todo: Vec<usize> = (0..waits.len()).filter(|&at| waits[at] == 0 && at != left_out).collect();
        while let Some(at) = todo.pop() {
            reached[at] = true;
            for &input in &self.serves[at] {
                let owner = self.owners[input];
                if !std::mem::replace(&mut is_served[input], true) {
                    waits[owner] -= 1;
                    if waits[owner] == 0 && owner != left_out {
                        todo.push(owner);
                    }
                }
            }
        }
        reached
    }
}
