//! The outcome of a task of the runtime.

use std::panic::resume_unwind;

use cache_core::{Error, ErrorKind, Result};
use tokio::task::JoinError;

/// The output of the task; if the task has panicked, the panic is resumed here.
pub fn outcome<T>(ended: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match ended {
        Ok(given) => given,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(error) => Err(Error::new(ErrorKind::Unavailable, "the runtime is shutting down").with_source(error)),
    }
}
