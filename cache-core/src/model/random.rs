//! Random numbers, for unique names and jitter.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number, different in each process; not for secrets.
#[must_use]
pub fn random_number() -> u64 {
    // The standard library seeds each hasher at random, which saves a dependency.
    RandomState::new().build_hasher().finish()
}
