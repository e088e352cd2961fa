//! [`PrunePolicy`]: which caches are deleted.

use std::time::Duration;

use cache_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::glob::NameGlob;
use super::look::Looked;
use crate::Reached;

/// Which caches and blobs of a store are deleted.
///
/// Caches whose names match `keep`, and the `keep_latest` newest ones, are always kept. Of the others, those written
/// longer ago than `older_than` are deleted, and then the oldest, until what all caches reach fits into
/// `max_used_space`. With `keep_latest` alone, all others are deleted. Without any of the three no cache is deleted.
///
/// In any case, blobs that no cache reaches are deleted if they are older than `grace`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PrunePolicy {
    /// Caches that were written longer ago are deleted.
    pub(crate) older_than: Option<Duration>,
    /// How many bytes the caches may reach together, each blob counted once.
    pub(crate) max_used_space: Option<u64>,
    /// How many of the newest caches stay.
    pub(crate) keep_latest: Option<usize>,
    /// Caches whose names match are kept.
    pub(crate) keep: Vec<NameGlob>,
    /// Younger blobs are kept, so that a running export loses none; so are blobs of unknown age.
    pub(crate) grace: Duration,
}

/// Why a cache is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PruneReason {
    /// It was written longer ago than `older_than`.
    OlderThan,
    /// It is not among the newest.
    NotLatest,
    /// The caches reach too many bytes, and it was the oldest of the rest.
    MaxUsedSpace,
    /// It is an old contribution of a publisher, which no publish will add any more.
    Contribution,
}

impl PrunePolicy {
    /// Deletes no cache, and the blobs that no cache reaches and that are older than `grace`
    /// ([`BackendFacts::grace`](cache_core::seams::BackendFacts::grace) is that of a store).
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { older_than: None, max_used_space: None, keep_latest: None, keep: Vec::new(), grace }
    }

    /// Deletes caches that were written longer ago than `age`.
    #[must_use]
    pub fn with_older_than(self, age: impl Into<Option<Duration>>) -> Self {
        Self { older_than: age.into(), ..self }
    }

    /// Deletes the oldest caches until the others reach no more than `bytes`.
    #[must_use]
    pub fn with_max_used_space(self, bytes: impl Into<Option<u64>>) -> Self {
        Self { max_used_space: bytes.into(), ..self }
    }

    /// Keeps the `count` newest caches.
    #[must_use]
    pub fn with_keep_latest(self, count: impl Into<Option<usize>>) -> Self {
        Self { keep_latest: count.into(), ..self }
    }

    /// Keeps caches whose names match; several patterns add up.
    #[must_use]
    pub fn with_keep(mut self, names: NameGlob) -> Self {
        self.keep.push(names);
        self
    }

    /// Keeps blobs that are younger than `grace`.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Why each of the caches goes, in their order; and by how many bytes those that stay are over the space.
    pub(super) fn choose(
        &self,
        looked: &[Looked],
        reached: &Reached,
        now: Timestamp,
    ) -> (Vec<Option<PruneReason>>, u64) {
        let mut reasons = vec![None; looked.len()];
        let newest_first = newest_first(looked);
        let mut removable: Vec<usize> = Vec::new();
        for (rank, &at) in newest_first.iter().enumerate() {
            let is_latest = self.keep_latest.is_some_and(|count| rank < count);
            if looked[at].is_cache && !is_latest && !self.keeps(&looked[at]) {
                removable.push(at);
            }
        }
        let is_alone = self.older_than.is_none() && self.max_used_space.is_none();
        for &at in &removable {
            let is_old = self.older_than.is_some_and(|age| is_older(looked[at].modified, age, now));
            reasons[at] = match () {
                () if is_old => Some(PruneReason::OlderThan),
                () if self.keep_latest.is_some() && is_alone => Some(PruneReason::NotLatest),
                () => None,
            };
        }
        let over = self.max_used_space.map_or(0, |space| shrink(looked, reached, &removable, &mut reasons, space));
        (reasons, over)
    }

    /// The patterns of names to keep that match none of these.
    pub(super) fn unmatched(&self, names: &[&str]) -> Vec<String> {
        let is_unmatched = |pattern: &&NameGlob| !names.iter().any(|name| pattern.matches(name));
        self.keep.iter().filter(is_unmatched).map(ToString::to_string).collect()
    }

    fn keeps(&self, cache: &Looked) -> bool {
        let name = cache.entry.name.as_deref().unwrap_or_default();
        self.keep.iter().any(|names| names.matches(name))
    }
}

/// One whose age is not known counts as the newest. Of those of one age, one with a name counts as newer.
fn newest_first(looked: &[Looked]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..looked.len()).filter(|&at| looked[at].is_cache).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&looked[a], &looked[b]);
        let age = |cache: &Looked| (cache.modified.is_some(), std::cmp::Reverse(cache.modified));
        let name = |cache: &Looked| (cache.entry.name.is_none(), cache.entry.name.clone());
        age(a).cmp(&age(b)).then_with(|| name(a).cmp(&name(b)))
    });
    order
}

/// Whether something was written at least so long ago. If its age is unknown, it was not.
pub(super) fn is_older(modified: Option<Timestamp>, age: Duration, now: Timestamp) -> bool {
    let Some(modified) = modified else { return false };
    let passed = now.unix_seconds().saturating_sub(modified.unix_seconds());
    u64::try_from(passed).is_ok_and(|passed| passed >= age.as_secs())
}

/// Takes the oldest that are left until the rest fits, and says by how much it does not.
fn shrink(
    looked: &[Looked],
    reached: &Reached,
    newest_first: &[usize],
    reasons: &mut [Option<PruneReason>],
    space: u64,
) -> u64 {
    let mut uses = vec![0_usize; reached.blobs()];
    let mut used: u64 = 0;
    for (cache, _) in looked.iter().zip(reasons.iter()).filter(|(_, reason)| reason.is_none()) {
        for (blob, size) in reached.sizes(&cache.blobs) {
            uses[blob] += 1;
            used = used.saturating_add(if uses[blob] == 1 { size } else { 0 });
        }
    }
    for &at in newest_first.iter().rev() {
        if used <= space {
            break;
        }
        if reasons[at].is_some() {
            continue;
        }
        reasons[at] = Some(PruneReason::MaxUsedSpace);
        for (blob, size) in reached.sizes(&looked[at].blobs) {
            uses[blob] -= 1;
            used = used.saturating_sub(if uses[blob] == 0 { size } else { 0 });
        }
    }
    used.saturating_sub(space)
}
