//! Small numbers for keys and selectors, so that the graph compares and hashes integers.

use std::borrow::Borrow;
use std::hash::Hash;

use foldhash::{HashMap, HashMapExt as _};

/// Maps each distinct value to a small number.
#[derive(Debug, Clone)]
pub(super) struct Interner<T> {
    values: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ids: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    pub(super) fn intern(&mut self, value: T) -> u32 {
        if let Some(&id) = self.ids.get(&value) {
            return id;
        }
        let id = u32::try_from(self.values.len()).expect("a config is bounded far below 2^32 values");
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    pub(super) fn get(&self, id: u32) -> &T {
        &self.values[id as usize]
    }

    pub(super) fn id<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> Option<u32>
    where
        T: Borrow<Q>,
    {
        self.ids.get(value).copied()
    }

    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn reserve(&mut self, values: usize) {
        self.values.reserve(values);
        self.ids.reserve(values);
    }
}

impl Interner<Box<str>> {
    pub(super) fn intern_str(&mut self, value: &str) -> u32 {
        self.id(value).unwrap_or_else(|| self.intern(value.into()))
    }
}
