//! A source of names that nobody else makes up, and of jitter.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that no other process comes up with at the same time; nothing secret may depend on it.
#[must_use]
pub fn random_number() -> u64 {
    // The standard library seeds each hasher at random, which saves a dependency.
    RandomState::new().build_hasher().finish()
}
