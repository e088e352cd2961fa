//! [`Repeated`]: which of very many values may occur more than once, at 8 bytes for each.

use std::hash::{BuildHasher, Hash};

use foldhash::HashSet;
use foldhash::quality::RandomState;

/// The hashes of values that were seen more than once; other values may share them.
pub(crate) struct Repeated {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Repeated {
    /// Looks at what `of` makes of each item.
    pub(crate) fn new<I, V: Hash>(items: impl Iterator<Item = I>, of: impl Fn(I) -> V) -> Self {
        let hasher = RandomState::default();
        let mut hashes: Vec<u64> = items.map(|item| hasher.hash_one(of(item))).collect();
        hashes.sort_unstable();
        let hashes = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        Self { hasher, hashes }
    }

    /// Whether the value may be there more than once; one that is, may be.
    pub(crate) fn may_have(&self, value: &impl Hash) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hasher.hash_one(value))
    }

    /// Whether each value is there once.
    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_values_are_found() {
        let repeated = Repeated::new([1, 2, 3, 2, 2].into_iter(), |n| ("n", n));
        assert!(repeated.may_have(&("n", 2)) && !repeated.may_have(&("n", 1)) && !repeated.is_empty());
        assert!(Repeated::new(0..1_000, |n| n).is_empty());
    }
}
