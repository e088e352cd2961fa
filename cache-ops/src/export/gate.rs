//! [`Gate`]: how many blobs are under way at once.
//!
//! Small blobs spend their time waiting for answers, so as many are sent at once as the store answers without slowing
//! down. Large blobs are limited by a budget of bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Concurrency;

/// How many bytes are under way at once, in KiB. A blob counts with its size, at most with a quarter of this.
const BUDGET: u32 = 64 << 10;
/// Blobs up to this size, in KiB, are small: the time to send one is that of the answers.
const SMALL: u64 = 256;
/// How many blobs may be under way at first.
const FIRST: usize = 8;
const LEAST: usize = 4;
/// An answer is late if it takes this many times as long as the fastest.
const LATE: (u32, Duration) = (4, Duration::from_millis(10));

/// Gives out turns.
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    /// `None` if a fixed number was asked for.
    adaptive: Option<(Arc<Semaphore>, Mutex<Pace>)>,
}

/// The permit to work on one blob.
pub(super) struct Turn {
    gate: Arc<Gate>,
    turn: Option<OwnedSemaphorePermit>,
    _bytes: Option<OwnedSemaphorePermit>,
    begun: Instant,
    is_small: bool,
}

impl Gate {
    pub(super) fn new(concurrency: Concurrency) -> Arc<Self> {
        let (first, adaptive) = match concurrency {
            Concurrency::Fixed(count) => (count.clamp(1, Semaphore::MAX_PERMITS), None),
            Concurrency::Adaptive => {
                let bytes = Arc::new(Semaphore::new(usize::try_from(BUDGET).unwrap_or(usize::MAX)));
                (FIRST, Some((bytes, Mutex::new(Pace::default()))))
            }
        };
        Arc::new(Self { turns: Arc::new(Semaphore::new(first)), adaptive })
    }

    /// Waits for a turn for a blob of this size.
    pub(super) async fn turn(self: &Arc<Self>, size: u64) -> Turn {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let kib = size.div_ceil(1 << 10);
        let weight = u32::try_from(kib).unwrap_or(u32::MAX).clamp(1, BUDGET / 4);
        let bytes = match &self.adaptive {
            Some((budget, _)) => Arc::clone(budget).acquire_many_owned(weight).await.ok(),
            None => None,
        };
        Turn { gate: Arc::clone(self), turn, _bytes: bytes, begun: Instant::now(), is_small: kib <= SMALL }
    }

    /// How often the turns were halved.
    pub(super) fn halvings(&self) -> usize {
        self.adaptive.as_ref().map_or(0, |(_, pace)| lock(pace).halvings)
    }

    /// Halves the number of turns after a refusal. `halvings` is their count when the refused request began: a
    /// request from before the last halving is ignored.
    pub(super) fn refused(&self, halvings: usize) {
        self.change(|pace| pace.halve(halvings));
    }

    fn change(&self, change: impl FnOnce(&mut Pace)) {
        let Some((_, pace)) = &self.adaptive else { return };
        let mut pace = lock(pace);
        let before = pace.limit;
        change(&mut pace);
        if let Some(more) = pace.limit.checked_sub(before) {
            let owed = more.min(pace.owed);
            pace.owed -= owed;
            self.turns.add_permits(more - owed);
        } else {
            let less = before - pace.limit;
            pace.owed += less - self.turns.forget_permits(less);
        }
    }

    /// Takes back a turn; it is not given out again if there are too many.
    fn end(&self, turn: OwnedSemaphorePermit) {
        if let Some((_, pace)) = &self.adaptive {
            let mut pace = lock(pace);
            if pace.owed > 0 {
                pace.owed -= 1;
                turn.forget();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_small {
            let took = self.begun.elapsed();
            self.gate.change(|pace| pace.done(took));
        }
        if let Some(turn) = self.turn.take() {
            self.gate.end(turn);
        }
    }
}

/// How many turns there are, adapted to the outcomes so far.
#[derive(Debug)]
struct Pace {
    limit: usize,
    /// How many returned turns are not given out again.
    owed: usize,
    fastest: Duration,
    /// How many turns in a row ended in time.
    in_time: usize,
    halvings: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit: FIRST, owed: 0, fastest: Duration::MAX, in_time: 0, halvings: 0 }
    }
}

impl Pace {
    /// Adds a turn for each that ends in time; after a refusal, only for as many in a row as there are turns.
    fn done(&mut self, took: Duration) {
        self.fastest = self.fastest.min(took);
        let (times, slack) = LATE;
        if took > self.fastest.saturating_mul(times).saturating_add(slack) {
            self.in_time = 0;
            self.limit = (self.limit - 1).max(LEAST.min(self.limit));
            return;
        }
        self.in_time += 1;
        if self.halvings == 0 || self.in_time >= self.limit {
            self.in_time = 0;
            self.limit = (self.limit + 1).min(Concurrency::MOST);
        }
    }

    fn halve(&mut self, seen: usize) {
        if seen == self.halvings {
            (self.halvings, self.in_time) = (self.halvings + 1, 0);
            self.limit = (self.limit / 2).max(1);
        }
    }
}

fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::{FutureExt, join_all};

    use super::*;

    /// How many turns for blobs of this size there are now.
    async fn turns(gate: &Arc<Gate>, size: u64) -> usize {
        let mut turns = Vec::new();
        while let Some(turn) = gate.turn(size).now_or_never() {
            turns.push(turn);
        }
        turns.len()
    }

    fn limit(gate: &Gate) -> usize {
        lock(&gate.adaptive.as_ref().unwrap().1).limit
    }

    /// Passes `blobs` blobs, each of which takes `took` from its turn on.
    async fn pass(gate: &Arc<Gate>, blobs: usize, took: Duration) {
        let pass = |_| async {
            let _turn = gate.turn(1).await;
            tokio::time::sleep(took).await;
        };
        join_all((0..blobs).map(pass)).await;
    }

    const QUICK: Duration = Duration::from_millis(20);
    const LARGE: u64 = 1 << 30;

    #[tokio::test(start_paused = true)]
    async fn a_number_that_was_asked_for_stays() {
        let gate = Gate::new(Concurrency::Fixed(3));
        pass(&gate, 100, QUICK).await;
        assert_eq!((turns(&gate, 1).await, turns(&gate, LARGE).await), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn small_blobs_get_more_turns_as_long_as_answers_are_no_slower() {
        let gate = Gate::new(Concurrency::Adaptive);
        pass(&gate, 200, QUICK).await;
        // Only large ones do not count for themselves when they end.
        assert_eq!(limit(&gate), Concurrency::MOST);
        assert_eq!(turns(&gate, LARGE).await, 4);
        pass(&gate, 200, QUICK * 6).await;
        assert_eq!(limit(&gate), LEAST);
        assert_eq!(turns(&gate, LARGE).await, LEAST);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_refusals_halve_the_turns_only_once() {
        let gate = Gate::new(Concurrency::Adaptive);
        pass(&gate, 200, QUICK).await;
        let under_way = join_all((0..Concurrency::MOST).map(|_| gate.turn(1))).await;
        under_way.iter().for_each(|_| gate.refused(0));
        assert!(gate.turn(1).now_or_never().is_none());
        tokio::time::advance(QUICK * 100).await;
        drop(under_way);
        assert_eq!(limit(&gate), LEAST, "they were late, too");
        pass(&gate, 4 + 5, QUICK).await;
        assert_eq!(limit(&gate), LEAST + 2, "then one more for each round");
    }
}
