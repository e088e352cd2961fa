//! Limits the rate of uploads, so that the service need not refuse any.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Event, Progress};
use tokio::time::Instant;

/// How often a wait is reported; shorter waits are not reported.
const TOLD_EVERY: Duration = Duration::from_secs(5);
const WORTH_TELLING: Duration = Duration::from_millis(100);

/// A limit on uploads in any window of one length, over all exporters that share it.
///
/// A window, not a bucket that fills: a full bucket would let twice as many pass in the first minute.
#[derive(Clone)]
pub(crate) struct Budget {
    uploads: usize,
    per: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the last uploads were, or will be, started.
    starts: VecDeque<Instant>,
    told: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(uploads: usize, per: Duration) -> Self {
        Self { uploads: uploads.max(1), per, state: Arc::default() }
    }

    /// Waits until one more upload may start. `left` is how many are left, this one included, if that is known.
    pub(crate) async fn take(&self, left: Option<usize>, progress: &dyn Progress) {
        let now = Instant::now();
        let (start, is_told) = self.reserve(now);
        let wait = start.saturating_duration_since(now);
        if wait.is_zero() {
            return;
        }
        if is_told {
            let reason = format!("throttled to stay under {} uploads in {} s", self.uploads, self.per.as_secs_f64());
            let left = left.map(|left| wait + self.duration_of(left));
            progress.event(&Event::Throttled { reason: &reason, wait, left });
        }
        tokio::time::sleep_until(start).await;
    }

    /// Books the next start; returns whether to report it.
    fn reserve(&self, now: Instant) -> (Instant, bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = now;
        if state.starts.len() >= self.uploads {
            // The window is half open: an upload that started a whole window ago no longer counts.
            let free = state.starts.pop_front().map(|oldest| oldest + self.per);
            start = free.map_or(now, |free| free.max(now));
        }
        state.starts.push_back(start);
        let is_worth_it = start.saturating_duration_since(now) >= WORTH_TELLING;
        let is_told = is_worth_it && state.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY);
        if is_told {
            state.told = Some(now);
        }
        (start, is_told)
    }

    /// How long this many uploads take after one that starts now.
    fn duration_of(&self, uploads: usize) -> Duration {
        let windows = u32::try_from(uploads.saturating_sub(1) / self.uploads).unwrap_or(u32::MAX);
        self.per.saturating_mul(windows)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} uploads in {:?}", self.uploads, self.per)
    }
}

#[cfg(test)]
mod tests {
    use cache_core::seams::Silent;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_window_has_more_starts_than_allowed() {
        let budget = Budget::new(20, Duration::from_secs(1));
        let (mut starts, begin) = (Vec::new(), Instant::now());
        for n in 0..300 {
            if n % 70 == 0 {
                tokio::time::sleep(Duration::from_millis(333)).await;
            }
            budget.take(None, &Silent).await;
            starts.push(Instant::now());
        }
        for pair in starts.windows(21) {
            assert!(pair[20] - pair[0] >= Duration::from_secs(1));
        }
        let took = begin.elapsed();
        assert!((Duration::from_secs(14)..Duration::from_secs(17)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_reported_with_the_time_left_and_not_too_often() {
        let told = Mutex::new(Vec::new());
        let progress = |event: &Event<'_>| {
            if let Event::Throttled { reason, wait, left } = event {
                told.lock().unwrap().push((reason.to_string(), *wait, *left));
            }
        };
        let budget = Budget::new(2, Duration::from_secs(4));
        for left in (1..=6).rev() {
            budget.take(Some(left), &progress).await;
        }
        let seconds = Duration::from_secs;
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].1, told[0].2), (seconds(4), Some(seconds(8))));
        assert_eq!(told[0].0, "throttled to stay under 2 uploads in 4 s");
    }
}
