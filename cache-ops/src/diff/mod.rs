//! `diff`: what one cache has and another lacks, and where their chains diverge.

pub(crate) mod matching;
mod parting;

use std::collections::HashSet;

use cache_core::{CacheKey, CacheManifest, Digest, Result, Timestamp};

use self::matching::{Chained, matches, same_results};
use crate::index::{Index, chain_digests};

/// What differs between two caches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// What only the first has.
    pub only_a: SideDiff,
    /// What only the second has.
    pub only_b: SideDiff,
    /// Records of the first cache at which a build diverges from the second: everything before them is
    /// in both.
    pub diverging_a: Vec<Divergence>,
    /// The same for the second cache.
    pub diverging_b: Vec<Divergence>,
}

/// What one of two caches has and the other lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideDiff {
    /// How many records no lookup finds in the other cache.
    pub records: usize,
    /// How many results the other cache does not have; those of records that it has are counted too.
    pub results: usize,
    /// The blobs the other cache does not name, in order of their digests.
    pub layers: Vec<Digest>,
    /// The bytes of these blobs.
    pub bytes: u64,
}

/// The first record of a chain that the other cache does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The record.
    pub record: DivergingKey,
    /// Why the record is not found in the other cache.
    pub reason: Reason,
    /// For each input, what both caches have for it.
    pub inputs: Vec<DivergingInput>,
    /// Candidates in the other cache: records with the same key, else records on the same inputs. At most
    /// ten.
    pub instead: Vec<DivergingKey>,
}

/// Why a record is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The other cache has the step with other inputs: the content that it reads has changed.
    InputChanged,
    /// The other cache has another step on the same inputs: its definition has changed.
    StepChanged,
    /// The other cache has nothing comparable.
    Missing,
}

impl Reason {
    /// The reason's name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputChanged => "input-changed",
            Self::StepChanged => "step-changed",
            Self::Missing => "missing",
        }
    }
}

/// A record, with details that help a person to recognise it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DivergingKey {
    /// The key.
    pub key: CacheKey,
    /// The annotation `buildkit/description` of its result's top layer.
    pub description: Option<String>,
    /// When its result was made.
    pub created_at: Option<Timestamp>,
    /// The blob of its result's top layer.
    pub top: Option<Digest>,
}

/// One input of a diverging record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DivergingInput {
    /// Whether the other cache has one of its alternatives.
    pub is_shared: bool,
    /// Its alternatives here.
    pub here: Vec<SelectedKey>,
    /// The alternatives in the other cache, of the first record that it has instead with the same key.
    pub there: Vec<SelectedKey>,
}

/// An alternative of an input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SelectedKey {
    /// The key of the record that it links to.
    pub key: CacheKey,
    /// The part of that record's output that is used; empty for all of it.
    pub selector: String,
}

impl Diff {
    /// Whether the caches are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let sides = [&self.only_a, &self.only_b];
        sides.iter().all(|side| side.records == 0 && side.results == 0 && side.layers.is_empty())
    }
}

/// Compares two caches as a build sees them: a record of one is in the other if a lookup of it there hits.
/// [Diff](crate#diff) has an example.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) for a cache that BuildKit does not import.
pub fn diff(a: &CacheManifest, b: &CacheManifest) -> Result<Diff> {
    let (a, b) = (Index::new(a)?, Index::new(b)?);
    let (in_b, in_a) = (matches(&a, &b), matches(&b, &a));
    let (chains_a, chains_b) = (chain_digests(a.config()), chain_digests(b.config()));
    let side = |here: &Index, there: &Index, found: &[Vec<usize>], same: usize| {
        let results = here.records().iter().filter(|record| crate::index::result(record).is_some()).count();
        let layers = only_here(here, there);
        let bytes = layers.iter().filter_map(|blob| here.manifest.descriptor(blob)).map(|blob| blob.size);
        let bytes = bytes.fold(0, u64::saturating_add);
        let records = found.iter().filter(|found| found.is_empty()).count();
        SideDiff { records, results: results - same, layers, bytes }
    };
    let chained_a = Chained { index: &a, chains: &chains_a };
    let chained_b = Chained { index: &b, chains: &chains_b };
    let same_a = same_results(&chained_a, &chained_b, &in_b);
    let same_b = same_results(&chained_b, &chained_a, &in_a);
    Ok(Diff {
        only_a: side(&a, &b, &in_b, same_a),
        only_b: side(&b, &a, &in_a, same_b),
        diverging_a: parting::divergences(&a, &b, &in_b),
        diverging_b: parting::divergences(&b, &a, &in_a),
    })
}

fn only_here(here: &Index, there: &Index) -> Vec<Digest> {
    let known: HashSet<Digest> = there.manifest.blobs().iter().map(|blob| blob.digest).collect();
    let blobs = here.manifest.blobs().iter().map(|blob| blob.digest);
    let mut only: Vec<Digest> = blobs.filter(|blob| !known.contains(blob)).collect();
    only.sort_unstable();
    only
}
