//! The retry policy of all backends.

use std::future::Future;
use std::time::Duration;

use cache_core::model::random_number;
use cache_core::seams::{Event, Progress};
use cache_core::{Error, ErrorKind, Result};

/// How often a silent server is tried: each try takes as long as a server may be silent.
const SILENT_ATTEMPTS: u32 = 2;

/// How often and how long to retry: exponential waits with jitter, or the wait that the server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub(crate) attempts: u32,
    /// The wait before the second try; it doubles from try to try.
    pub(crate) base: Duration,
    /// The longest wait between two tries, unless the server asks for a longer one.
    pub(crate) cap: Duration,
    /// The longest wait in all; a server that asks for more ends the retries.
    pub(crate) budget: Duration,
}

impl Default for RetryPolicy {
    /// 6 tries, 200 ms doubling up to 20 s, at most 10 minutes of waiting.
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(20),
            budget: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// Tries once.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Changes the number of tries.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts: attempts.max(1), ..self }
    }

    /// How many tries there are, the first included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Changes the longest wait in all.
    #[must_use]
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Changes the first wait and the longest one.
    #[must_use]
    pub fn with_waits(self, base: Duration, cap: Duration) -> Self {
        Self { base, cap, ..self }
    }

    /// Calls `call` as [`run`](Self::run) does. The error is then not retryable, so that callers do not retry in turn.
    ///
    /// # Errors
    /// The last error of `call`, which is not retryable any more.
    pub async fn run_final<T, F, C>(self, progress: &dyn Progress, mut call: C) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        let mut tries = Tries::new(self, progress);
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) => tries.wait_after(error).await.map_err(|error| error.with_retryable(false))?,
            }
        }
    }

    /// Calls `call` until it succeeds, fails for good, or the policy is used up.
    ///
    /// `call` has to be idempotent. Only retryable errors ([`Error::is_retryable`](cache_core::Error::is_retryable))
    /// are retried, and those of a [silent](cache_core::Error::silent_for) server once. If the server asks for a wait,
    /// it is kept.
    ///
    /// # Errors
    /// The last error of `call`, unchanged: a caller that does more than `call` may start again.
    pub async fn run<T, F, C>(self, progress: &dyn Progress, mut call: C) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        let mut tries = Tries::new(self, progress);
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) => tries.wait_after(error).await?,
            }
        }
    }

    /// Between half of the exponential wait and all of it, so that clients that failed together do not come back
    /// together.
    fn wait_after(&self, attempt: u32) -> Duration {
        let full = self.base.saturating_mul(1 << (attempt - 1).min(20)).min(self.cap);
        let random = u32::try_from(random_number() >> 32).unwrap_or(0);
        full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// The tries of one call. It is a type of its own so that the many calls of a backend compile little each.
struct Tries<'a> {
    policy: RetryPolicy,
    progress: &'a dyn Progress,
    count: u32,
    waited: Duration,
}

impl<'a> Tries<'a> {
    fn new(policy: RetryPolicy, progress: &'a dyn Progress) -> Self {
        Self { policy, progress, count: 1, waited: Duration::ZERO }
    }

    /// Waits before the next try; the error is returned if there is none.
    async fn wait_after(&mut self, error: Error) -> Result<()> {
        let Self { policy, count, .. } = *self;
        let wait = error.retry_after().unwrap_or_else(|| policy.wait_after(count));
        let attempts =
            if error.silent_for().is_some() { policy.attempts.min(SILENT_ATTEMPTS) } else { policy.attempts };
        let is_over = count >= attempts || !error.is_retryable() || self.waited.saturating_add(wait) > policy.budget;
        if is_over {
            return Err(if count > 1 { error.with_tries(count) } else { error });
        }
        let throttled = if error.kind() == ErrorKind::RateLimited { "throttled: " } else { "" };
        self.progress.event(&Event::Retrying { error: &format!("{throttled}{error}"), wait });
        tokio::time::sleep(wait).await;
        self.waited += wait;
        self.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use cache_core::seams::Silent;

    use super::*;

    async fn tries(policy: RetryPolicy, error: fn() -> Error) -> (u32, Error) {
        let calls = AtomicU32::new(0);
        let call = || {
            calls.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(error()) }
        };
        let error = policy.run_final(&Silent, call).await.unwrap_err();
        (calls.into_inner(), error)
    }

    #[tokio::test(start_paused = true)]
    async fn only_retryable_errors_are_tried_again() {
        let policy = RetryPolicy::default();
        assert_eq!(tries(policy, || Error::new(ErrorKind::PermissionDenied, "no")).await.0, 1);
        let (calls, error) = tries(policy, || Error::new(ErrorKind::Unavailable, "503")).await;
        assert_eq!((calls, error.context("tries"), error.is_retryable()), (6, Some("6"), false));
        assert_eq!(tries(policy, || Error::silence("no answer", Duration::from_secs(30))).await.0, 2);
        assert_eq!(tries(RetryPolicy::never(), || Error::new(ErrorKind::Unavailable, "503")).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outer_policy_may_retry_the_error_of_an_inner_one() {
        let (inner, outer) = (RetryPolicy::default().with_attempts(2), RetryPolicy::default().with_attempts(3));
        let calls = AtomicU32::new(0);
        let call = || {
            calls.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(Error::new(ErrorKind::Unavailable, "503")) }
        };
        let error = outer.run(&Silent, || inner.run(&Silent, call)).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(calls.into_inner(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_a_server_asks_for_is_kept_within_the_budget() {
        let waits = Mutex::new(Vec::new());
        let progress = |event: &Event<'_>| {
            if let Event::Retrying { wait, error } = event {
                assert!(error.starts_with("throttled: 429"), "{error}");
                waits.lock().unwrap().push(*wait);
            }
        };
        let policy = RetryPolicy { budget: Duration::from_secs(70), ..RetryPolicy::default() };
        let call = || async {
            Err::<(), _>(Error::new(ErrorKind::RateLimited, "429").with_retry_after(Duration::from_secs(30)))
        };
        policy.run(&progress, call).await.unwrap_err();
        assert_eq!(waits.into_inner().unwrap(), [Duration::from_secs(30); 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_end_ends_the_tries() {
        let policy = RetryPolicy::default();
        let waits = Mutex::new(vec![Duration::MAX, Duration::from_secs(1)]);
        let call = || async {
            let wait = waits.lock().unwrap().pop().unwrap();
            Err::<(), _>(Error::new(ErrorKind::RateLimited, "429").with_retry_after(wait))
        };
        assert_eq!(policy.run(&Silent, call).await.unwrap_err().context("tries"), Some("2"));
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_jittered_downwards() {
        let policy = RetryPolicy::default();
        for (attempt, full) in [(1, 200), (2, 400), (7, 12_800), (8, 20_000), (60, 20_000)] {
            let wait = policy.wait_after(attempt).as_millis();
            assert!((full / 2..=full).contains(&wait), "{attempt}: {wait}");
        }
    }
}
