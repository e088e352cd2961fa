//! A time limit on one future.

use std::time::Duration;

use cache_core::{Error, Result};

/// The future's output if it is ready within the limit; `None` for the limit means no limit.
pub async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// The output of the future, if it is ready within the limit.
///
/// # Errors
/// [`Error::silence`] with this message.
pub async fn answered<T>(limit: Option<Duration>, message: &str, future: impl Future<Output = T>) -> Result<T> {
    // Not by `within`: each layer of futures is compiled for every request.
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| Error::silence(message, limit)),
        None => Ok(future.await),
    }
}
