//! [`Pace`]: limits how many blobs are deleted in a second.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Gives out when batches may begin, one after the other.
pub(super) struct Pace {
    rate: Option<NonZeroU32>,
    next: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// How many blobs a batch has, of at most `most`: those of a second, so that nothing is deleted long after the look
    /// at the store that found it free.
    pub(super) fn batch(&self, most: usize) -> usize {
        let rate = self.rate.and_then(|rate| usize::try_from(rate.get()).ok());
        rate.map_or(most, |rate| rate.min(most))
    }

    /// When a batch of `blobs` blobs may begin, after all earlier batches.
    pub(super) fn turn(&mut self, blobs: usize) -> Instant {
        let turn = self.next.max(Instant::now());
        let blobs = u32::try_from(blobs).unwrap_or(u32::MAX);
        self.next = turn + self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * blobs / rate.get());
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_begin_no_sooner_than_the_rate_allows() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(500));
        assert_eq!(pace.batch(1_000), 500);
        let turns: Vec<Duration> = (0..3).map(|_| pace.turn(500) - start).collect();
        assert_eq!(turns, [0, 1, 2].map(Duration::from_secs));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(pace.turn(50) - start, Duration::from_secs(10), "what was not used is not saved up");
        assert_eq!(pace.turn(50) - start, Duration::from_millis(10_100));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None);
        assert_eq!((pace.batch(1_000), pace.turn(1_000)), (1_000, Instant::now()));
        assert_eq!(pace.turn(1_000), Instant::now());
    }
}
