//! Runs file system calls on blocking threads of the runtime.

use std::panic::resume_unwind;

use cache_core::{Error, ErrorKind, Result};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::KIND;

/// A job that was started; it runs to its end even when its handle is dropped.
pub(crate) struct Task<T>(JoinHandle<Result<T>>);

/// Starts a job on a thread that may block.
pub(crate) fn start<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Task<T> {
    Task(spawn_blocking(job))
}

/// Runs a job on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    start(job).join().await
}

impl<T> Task<T> {
    /// Waits for the job.
    pub(crate) async fn join(self) -> Result<T> {
        match self.0.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => {
                let stopped = Error::new(ErrorKind::Unavailable, "the runtime is shutting down");
                Err(stopped.with("backend", KIND).with_source(error))
            }
        }
    }
}
