//! Finds which records of several graphs are the same: records are the same if they have the same key and share an
//! alternative for every input.
//!
//! It is a congruence closure: merging two records can make records below them the same. The result does not depend on
//! the order of merging. Links that close a loop do not matter here.

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::{Alternative, StoredResult};

/// A record of one of the graphs; alternatives name other nodes.
#[derive(Debug)]
pub(super) struct Node {
    /// The record it has in the graph that is being changed; none for one of another graph.
    pub(super) id: Option<u32>,
    pub(super) key: u32,
    pub(super) inputs: Vec<Vec<Alternative>>,
    pub(super) results: Vec<StoredResult>,
}

/// For each node the first node that is the same.
pub(super) fn classes(nodes: &[Node]) -> Vec<u32> {
    let mut closure = Closure::new(nodes);
    closure.run();
    let mut first: HashMap<u32, u32> = HashMap::new();
    let all = 0..closure.count();
    all.map(|node| *first.entry(closure.find(node)).or_insert(node)).collect()
}

/// How records hang on a class: the place where a record that shares an alternative is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    parent: u32,
    selector: u32,
    input: u32,
    key: u32,
    arity: u32,
}

/// An alternative of one input, seen from either end.
#[derive(Clone, Copy)]
struct Half {
    input: u32,
    selector: u32,
    other: u32,
}

struct Closure<'a> {
    nodes: &'a [Node],
    leader: Vec<u32>,
    /// By leader: the alternatives of the class.
    above: Vec<Vec<Half>>,
    /// By leader: the records that hang on the class.
    below: Vec<Vec<Half>>,
    /// Nodes of the classes that depend on a class in one way; entries of former leaders stay and are not used.
    slots: HashMap<Slot, Vec<u32>>,
    /// Every alternative of every class with several inputs, by leaders.
    known: HashSet<(u32, u32, u32, u32)>,
    /// Pairs that are the same.
    same: Vec<(u32, u32)>,
    /// Classes with several inputs that may have become the same as another.
    changed: Vec<u32>,
}

impl<'a> Closure<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        let count = nodes.len();
        let links = nodes.iter().map(|node| node.inputs.iter().map(Vec::len).sum::<usize>()).sum();
        Self {
            nodes,
            leader: (0..).take(count).collect(),
            above: vec![Vec::new(); count],
            below: vec![Vec::new(); count],
            slots: HashMap::with_capacity(links),
            known: HashSet::new(),
            same: Vec::new(),
            changed: Vec::new(),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn run(&mut self) {
        let mut roots: HashMap<u32, u32> = HashMap::new();
        for (node, record) in (0..self.count()).zip(self.nodes) {
            if record.inputs.is_empty() {
                let first = *roots.entry(record.key).or_insert(node);
                self.same.push((first, node));
            }
            for (input, alternatives) in (0..).zip(&record.inputs) {
                for from in alternatives {
                    self.above[node as usize].push(Half { input, selector: from.selector, other: from.record });
                    self.below[from.record as usize].push(Half { input, selector: from.selector, other: node });
                    self.hang(node, input, from.selector, from.record);
                }
            }
            self.changed.push(node);
        }
        loop {
            while let Some((a, b)) = self.same.pop() {
                self.unite(a, b);
            }
            let Some(node) = self.changed.pop() else { break };
            if let Some(other) = self.partner(node) {
                self.same.push((node, other));
                self.changed.push(node);
            }
        }
    }

    fn find(&mut self, node: u32) -> u32 {
        let mut at = node;
        while self.leader[at as usize] != at {
            let next = self.leader[at as usize];
            self.leader[at as usize] = self.leader[next as usize];
            at = next;
        }
        at
    }

    fn arity(&self, node: u32) -> u32 {
        u32::try_from(self.nodes[node as usize].inputs.len()).unwrap_or(u32::MAX)
    }

    /// Adds that a class depends on another. Records with one input in one slot are the same.
    fn hang(&mut self, child: u32, input: u32, selector: u32, parent: u32) {
        let (child, parent) = (self.find(child), self.find(parent));
        let (key, arity) = (self.nodes[child as usize].key, self.arity(child));
        let slot = self.slots.entry(Slot { parent, selector, input, key, arity }).or_default();
        match slot.first() {
            Some(&first) if arity == 1 => self.same.push((first, child)),
            _ => slot.push(child),
        }
        if arity > 1 {
            self.known.insert((child, input, selector, parent));
        }
    }

    /// Makes two classes one; the links of the smaller one move.
    fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return;
        }
        let weight = |node: u32| self.above[node as usize].len() + self.below[node as usize].len();
        let (small, large) = if weight(a) < weight(b) { (a, b) } else { (b, a) };
        self.leader[small as usize] = large;
        let above = std::mem::take(&mut self.above[small as usize]);
        let below = std::mem::take(&mut self.below[small as usize]);
        if self.arity(large) > 1 {
            for half in &above {
                let parent = self.find(half.other);
                self.known.insert((large, half.input, half.selector, parent));
            }
            self.changed.push(large);
        }
        for half in &below {
            self.hang(half.other, half.input, half.selector, large);
            if self.arity(half.other) > 1 {
                self.changed.push(half.other);
            }
        }
        self.above[large as usize].extend(above);
        self.below[large as usize].extend(below);
    }

    /// Another class that shares an alternative for every one of several inputs; the work is that of the input with the
    /// fewest records in its slots.
    fn partner(&mut self, node: u32) -> Option<u32> {
        let node = self.find(node);
        let (key, arity) = (self.nodes[node as usize].key, self.arity(node));
        if arity < 2 {
            return None;
        }
        let mut slots: Vec<Vec<Slot>> = vec![Vec::new(); arity as usize];
        for half in self.above[node as usize].clone() {
            let parent = self.find(half.other);
            let slot = Slot { parent, selector: half.selector, input: half.input, key, arity };
            slots[half.input as usize].push(slot);
        }
        let load = |slots: &Vec<Slot>| slots.iter().map(|slot| self.slots.get(slot).map_or(0, Vec::len)).sum::<usize>();
        let fewest = slots.iter().min_by_key(|slots| load(slots))?.clone();
        for slot in fewest {
            for other in self.tidy(slot) {
                let shares = |slots: &Vec<Slot>| {
                    slots.iter().any(|slot| self.known.contains(&(other, slot.input, slot.selector, slot.parent)))
                };
                if other != node && slots.iter().all(shares) {
                    return Some(other);
                }
            }
        }
        None
    }

    /// The classes in a slot, each once; the slot is left that way.
    fn tidy(&mut self, slot: Slot) -> Vec<u32> {
        let mut nodes = self.slots.remove(&slot).unwrap_or_default();
        nodes.iter_mut().for_each(|node| *node = self.find(*node));
        nodes.sort_unstable();
        nodes.dedup();
        self.slots.insert(slot, nodes.clone());
        nodes
    }
}
