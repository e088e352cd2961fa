//! A sound cache in normal form, with the records below each record.

use cache_core::manifest::CacheRecord;
use cache_core::{CacheChains, CacheConfig, CacheManifest, Digest, Result, Timestamp};

/// A cache in normal form, ready to be walked. Every record has at most one result, and no explicit chain
/// but that of a result of no layers.
pub(crate) struct Index {
    pub(crate) manifest: CacheManifest,
    /// The records, parents before children.
    pub(crate) order: Vec<usize>,
    /// For each record those that have it as an input, each once.
    pub(crate) children: Vec<Vec<usize>>,
}

impl Index {
    /// Brings a cache into normal form.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) for a cache that BuildKit does not import.
    pub(crate) fn new(manifest: &CacheManifest) -> Result<Self> {
        let mut chains = CacheChains::from_manifest(manifest)
            .map_err(|error| error.with_hint("repair makes the largest sound cache of it"))?;
        chains.normalize();
        let manifest = chains.to_manifest().with_form(manifest.form());
        let records = &manifest.config().records;
        let order = parents_first(records, |_| true);
        let children = children(records);
        Ok(Self { manifest, order, children })
    }

    pub(crate) fn config(&self) -> &CacheConfig {
        self.manifest.config()
    }

    pub(crate) fn records(&self) -> &[CacheRecord] {
        &self.config().records
    }

    /// The records that have one input, and that is a root.
    pub(crate) fn on_one_root(&self) -> Vec<usize> {
        let records = self.records();
        let is_root = |n: usize| records[n].inputs.is_empty();
        let is_on_root = |record: &CacheRecord| record.inputs.len() == 1 && links(record, records.len()).all(is_root);
        (0..records.len()).filter(|&n| is_on_root(&records[n])).collect()
    }
}

/// The records that a record's inputs name and that exist.
pub(crate) fn links(record: &CacheRecord, count: usize) -> impl Iterator<Item = usize> {
    let links = record.inputs.iter().flatten().filter_map(|link| usize::try_from(link.link).ok());
    links.filter(move |&linked| linked < count)
}

/// Whether a record has a result; one of no layers counts.
pub(crate) fn has_result(record: &CacheRecord) -> bool {
    !record.results.is_empty() || !record.chains.is_empty()
}

/// The top layer of a record's first result, and when it was made.
pub(crate) fn result(record: &CacheRecord) -> Option<(usize, Timestamp)> {
    let result = record.results.first()?;
    Some((usize::try_from(result.layer).ok()?, result.created_at))
}

/// For each record those that hang on it, each once.
pub(crate) fn children(records: &[CacheRecord]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); records.len()];
    for (n, record) in records.iter().enumerate() {
        for linked in links(record, records.len()) {
            // Links of one record come in a row, so a repeated one is the last that was added.
            if children[linked].last() != Some(&n) {
                children[linked].push(n);
            }
        }
    }
    children
}

/// Those of the records that are `among`, in an order in which all that one links to stands before it; without those
/// that a loop leads to.
pub(crate) fn parents_first(records: &[CacheRecord], among: impl Fn(usize) -> bool) -> Vec<usize> {
    let children = children(records);
    let mut waits = vec![0_usize; records.len()];
    for (_, below) in children.iter().enumerate().filter(|(n, _)| among(*n)) {
        below.iter().for_each(|&child| waits[child] += 1);
    }
    let mut order: Vec<usize> = (0..records.len()).filter(|&n| among(n) && waits[n] == 0).collect();
    let mut done = 0;
    while let Some(&n) = order.get(done) {
        done += 1;
        for &child in &children[n] {
            waits[child] -= 1;
            if waits[child] == 0 && among(child) {
                order.push(child);
            }
        }
    }
    order
}

/// Marks everything from which a marked record can be reached downwards. `order` has parents before children.
pub(crate) fn mark_above(records: &[CacheRecord], order: &[usize], marked: &mut [bool]) {
    for &n in order.iter().rev() {
        if marked[n] {
            links(&records[n], records.len()).for_each(|linked| marked[linked] = true);
        }
    }
}

/// The records that are kept, with their links; links to others are left out.
pub(crate) fn keep_records(config: &CacheConfig, keep: &[bool]) -> CacheConfig {
    let mut places = vec![None; keep.len()];
    let kept = (0..keep.len()).filter(|&n| keep[n]);
    for (place, n) in kept.clone().enumerate() {
        places[n] = i64::try_from(place).ok();
    }
    let record = |n: usize| {
        let mut record = config.records[n].clone();
        for input in &mut record.inputs {
            input.retain_mut(|link| {
                let place = usize::try_from(link.link).ok().and_then(|linked| places.get(linked).copied().flatten());
                place.is_some_and(|place| {
                    link.link = place;
                    true
                })
            });
        }
        record
    };
    CacheConfig { layers: config.layers.clone(), records: kept.map(record).collect() }
}

/// For each layer a digest over it and everything below it: equal for equal chains of whatever cache. `None` where the
/// chain ends nowhere.
pub(crate) fn chain_digests(config: &CacheConfig) -> Vec<Option<Digest>> {
    let digest = |n: usize, below: Option<Digest>| {
        let mut bytes = config.layers[n].blob.as_bytes().to_vec();
        bytes.extend_from_slice(below.as_ref().map_or(&[][..], Digest::as_bytes));
        Digest::sha256(&bytes)
    };
    let mut digests = vec![None; config.layers.len()];
    for n in 0..digests.len() {
        let mut path = Vec::new();
        let mut at = Some(n);
        while let Some(layer) = at.filter(|&layer| layer < digests.len() && digests[layer].is_none()) {
            if path.len() > digests.len() {
                break;
            }
            path.push(layer);
            at = usize::try_from(config.layers[layer].parent).ok();
        }
        let mut below = at.and_then(|layer| digests.get(layer).copied().flatten());
        for layer in path.into_iter().rev() {
            let found = digest(layer, below);
            digests[layer] = Some(found);
            below = Some(found);
        }
    }
    digests
}
