//! [`Accepted`]: the blobs that the present cache of the destination names.
//!
//! In a store that cannot list blobs, the exporter reads the present manifest. The store had every blob of it when it
//! was written, so a copy of the same cache need not look up each blob. Blobs that were deleted since are noticed by
//! the store, if it checks the blobs of a new manifest, and by reading a few blobs back before that manifest is
//! written.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::Result;
use cache_core::model::{Descriptor, Digest, random_number};
use tokio::sync::OnceCell;

/// How many blobs are read back.
const SAMPLE: u64 = 4;

/// The blobs that an exporter takes for present because the present manifest names them.
#[derive(Debug, Default)]
pub struct Accepted(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether there are enough blobs to make reading the manifest worthwhile.
    is_worth_it: bool,
    named: Arc<OnceCell<HashMap<Digest, u64>>>,
    /// The blobs that were not sent because the manifest names them.
    taken: BTreeMap<Digest, Descriptor>,
}

impl Accepted {
    /// Sets how many blobs will be pushed, and from how many on the manifest is read.
    pub fn expect(&self, blobs: usize, enough: usize) {
        *self.state() = State { is_worth_it: blobs >= enough, ..State::default() };
    }

    /// Whether the manifest names the blob, with its size. The first call reads the manifest; one that cannot be read
    /// names no blob.
    pub async fn has<F>(&self, blob: &Descriptor, read: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Result<Vec<Descriptor>>>,
    {
        let named = {
            let state = self.state();
            if !state.is_worth_it {
                return false;
            }
            Arc::clone(&state.named)
        };
        let sizes = || async {
            let blobs = read().await.unwrap_or_default();
            blobs.into_iter().map(|blob| (blob.digest, blob.size)).collect()
        };
        let is_named = named.get_or_init(sizes).await.get(&blob.digest) == Some(&blob.size);
        let mut state = self.state();
        // `doubt` may have been called meanwhile.
        let is_taken = is_named && state.is_worth_it;
        if is_taken {
            state.taken.insert(blob.digest, blob.clone());
        }
        is_taken
    }

    /// Four of the blobs that were taken for present, at even distances from a random one: these are to be read back.
    #[must_use]
    pub fn sample(&self) -> Vec<Descriptor> {
        let state = self.state();
        let count = state.taken.len() as u64;
        let Some(start) = random_number().checked_rem(count) else { return Vec::new() };
        let places = (0..SAMPLE.min(count)).map(|n| start.wrapping_add(n * count / SAMPLE.min(count)) % count);
        let nth = |place| state.taken.values().nth(usize::try_from(place).unwrap_or_default()).cloned();
        places.filter_map(nth).collect()
    }

    /// How many blobs were taken for present.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().taken.len()
    }

    /// Takes no blob for present any more, because one was deleted; returns those that were taken for present.
    pub fn doubt(&self) -> Vec<Descriptor> {
        std::mem::take(&mut *self.state()).taken.into_values().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves a state that may be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cache_core::model::MediaType;
    use cache_core::{Error, ErrorKind};

    use super::*;

    fn blob(number: usize) -> Descriptor {
        Descriptor::of(MediaType::OCI_LAYER, number.to_string().as_bytes())
    }

    async fn accepted(blobs: usize) -> Accepted {
        let accepted = Accepted::default();
        accepted.expect(blobs, 10);
        for number in 0..blobs {
            accepted.has(&blob(number), || async { Ok((0..blobs).map(blob).collect()) }).await;
        }
        accepted
    }

    #[tokio::test]
    async fn blobs_of_the_manifest_count_as_present_until_doubt() {
        let accepted = accepted(20).await;
        let again = || async { Err(Error::new(ErrorKind::Unavailable, "it is read once")) };
        assert!(accepted.has(&blob(3), again).await);
        assert!(!accepted.has(&blob(20), again).await);
        let half = Descriptor { size: 9, ..blob(3) };
        assert!(!accepted.has(&half, again).await);
        assert_eq!(accepted.doubt().len(), 20);
        assert!(!accepted.has(&blob(3), again).await);
    }

    #[tokio::test]
    async fn few_blobs_and_a_manifest_that_cannot_be_read_are_asked_for() {
        assert!(accepted(9).await.doubt().is_empty());
        let accepted = Accepted::default();
        accepted.expect(20, 10);
        assert!(!accepted.has(&blob(1), || async { Err(Error::new(ErrorKind::NotFound, "no manifest")) }).await);
    }

    #[tokio::test]
    async fn a_sample_is_spread_over_all() {
        for count in [1, 3, 4, 100] {
            let accepted = Accepted::default();
            accepted.expect(count, 1);
            for number in 0..count {
                accepted.has(&blob(number), || async { Ok((0..count).map(blob).collect()) }).await;
            }
            let sample: std::collections::BTreeSet<Digest> = accepted.sample().into_iter().map(|b| b.digest).collect();
            assert_eq!(sample.len(), count.min(4), "each once");
        }
        assert!(Accepted::default().sample().is_empty());
    }
}
