//! [`Task`]: a task of the runtime that ends with its handle, and the outcome of any task.

use std::panic::resume_unwind;

use cache_core::{Error, ErrorKind, Result};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

/// A future that runs on any thread of the runtime, in the span of its caller. Dropping this aborts the future.
#[derive(Debug)]
#[must_use = "dropping a task aborts it"]
pub struct Task<T>(JoinHandle<Result<T>>);

impl<T: Send + 'static> Task<T> {
    /// Starts a future.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn start(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(tokio::spawn(future.in_current_span()))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// The error of the future.
    ///
    /// # Panics
    /// If the future has panicked.
    pub async fn join(mut self) -> Result<T> {
        outcome((&mut self.0).await)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The output of the task; if the task has panicked, the panic is resumed here.
pub fn outcome<T>(ended: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match ended {
        Ok(given) => given,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(error) => Err(Error::new(ErrorKind::Unavailable, "the runtime is shutting down").with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cache_core::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn a_task_that_is_dropped_drops_its_future() {
        let kept = Arc::new(());
        let held = Arc::clone(&kept);
        let task = Task::start(async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(task);
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[tokio::test]
    async fn a_task_gives_what_its_future_gives() {
        assert_eq!(Task::start(async { Ok(3) }).join().await.unwrap(), 3);
        let failed = Task::<()>::start(async { Err(Error::new(ErrorKind::NotFound, "gone")) }).join().await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
