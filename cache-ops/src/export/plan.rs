//! Which places need which blob.

use std::collections::HashMap;

use cache_core::{Descriptor, Digest};

use super::Place;

/// A blob, and the places it goes to, each with its own descriptor of it.
pub(super) struct Needed<'a> {
    pub(super) by: Vec<(&'a Place<'a>, &'a Descriptor)>,
}

/// Every blob of every place once, in the order of the first place that needs it.
pub(super) fn needed_blobs<'a>(places: &'a [Place<'a>]) -> Vec<Needed<'a>> {
    let mut at: HashMap<Digest, usize> = HashMap::new();
    let mut needed: Vec<Needed<'a>> = Vec::new();
    for place in places {
        for blob in place.needed() {
            let next = *at.entry(blob.digest).or_insert(needed.len());
            if next == needed.len() {
                needed.push(Needed { by: Vec::new() });
            }
            needed[next].by.push((place, blob));
        }
    }
    needed
}
