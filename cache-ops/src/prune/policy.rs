//! [`PrunePolicy`]: which caches go.

use std::time::Duration;

use cache_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::glob::NameGlob;
use super::look::Looked;
use crate::Reached;

/// What stays in a store and what goes.
///
/// Names that `keep` matches always stay, and so do the `keep_latest` newest caches. Of the others, those that were
/// written longer ago than `older_than` go; then the oldest, until what all caches reach fits into `max_used_space`.
/// `keep_latest` without either of the two means that all others go. Without any of the three no cache goes.
///
/// Whatever the policy is, blobs that no cache reaches go once they are older than `grace`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PrunePolicy {
    /// Caches written longer ago than this go.
    pub older_than: Option<Duration>,
    /// How many bytes the caches may reach together, each blob counted once.
    pub max_used_space: Option<u64>,
    /// How many of the newest caches stay.
    pub keep_latest: Option<usize>,
    /// Names that stay.
    pub keep: Vec<NameGlob>,
    /// Blobs younger than this stay, so that a running export loses none. Blobs of unknown age stay too.
    pub grace: Duration,
}

/// Why a cache goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneReason {
    /// It was written too long ago.
    OlderThan,
    /// It is none of the newest.
    NotLatest,
    /// The caches reach too many bytes, and it was the oldest left.
    MaxUsedSpace,
    /// It is no cache, but what a publisher has left for one, and too old to be added to it.
    Contribution,
}

impl PrunePolicy {
    /// Deletes no cache, and the blobs that no cache reaches and that are older than `grace`
    /// ([`BackendFacts::grace`](cache_core::seams::BackendFacts::grace) is that of a store).
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { older_than: None, max_used_space: None, keep_latest: None, keep: Vec::new(), grace }
    }

    /// Caches that were written longer ago go.
    #[must_use]
    pub fn with_older_than(self, age: Duration) -> Self {
        Self { older_than: Some(age), ..self }
    }

    /// The oldest caches go until all others reach no more bytes.
    #[must_use]
    pub fn with_max_used_space(self, bytes: u64) -> Self {
        Self { max_used_space: Some(bytes), ..self }
    }

    /// The newest caches stay.
    #[must_use]
    pub fn with_keep_latest(self, count: usize) -> Self {
        Self { keep_latest: Some(count), ..self }
    }

    /// Names like this one stay.
    #[must_use]
    pub fn with_keep(mut self, names: NameGlob) -> Self {
        self.keep.push(names);
        self
    }

    /// Blobs that are younger stay.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Why each of the caches goes, in their order; and by how many bytes those that stay are over the space.
    pub(super) fn choose(
        &self,
        (looked, reached): (&[Looked], &Reached),
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
        let over = self.max_used_space.map_or(0, |space| shrink((looked, reached), &removable, &mut reasons, space));
        (reasons, over)
    }

    fn keeps(&self, cache: &Looked) -> bool {
        let name = cache.entry.name.as_deref().unwrap_or_default();
        self.keep.iter().any(|names| names.matches(name))
    }
}

/// One whose age is not known counts as the newest.
fn newest_first(looked: &[Looked]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..looked.len()).filter(|&at| looked[at].is_cache).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&looked[a], &looked[b]);
        let age = |cache: &Looked| (cache.modified.is_some(), std::cmp::Reverse(cache.modified));
        age(a).cmp(&age(b)).then_with(|| a.entry.name.cmp(&b.entry.name))
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
    (looked, reached): (&[Looked], &Reached),
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
