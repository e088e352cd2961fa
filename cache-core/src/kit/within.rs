//! A bound on how long one thing may take.

use std::time::Duration;

/// What the future gives, if it comes within the limit; without a limit, whenever it comes.
pub async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
