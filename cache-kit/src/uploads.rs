//! [`Uploads`]: uploads that are finished even if the future that waits for them is dropped.

use std::sync::Arc;

use cache_core::Result;
use tokio::sync::watch;

use crate::outcome;

/// The uploads under way of all caches that share it. Each runs to its end, even if its caller is gone.
///
/// It is for services with which an unfinished upload blocks every later export: a reserved key that is never finalised
/// stays locked. A program waits for the uploads before it ends, with a limit of its own.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<watch::Sender<usize>>);

impl Uploads {
    /// No uploads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs an upload in its own task, which continues if this future is dropped.
    ///
    /// # Errors
    /// The error of the upload.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, and if the upload panics.
    pub async fn run<T: Send + 'static>(&self, upload: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let running = Running::new(self.clone());
        let task = tokio::spawn(async move {
            let _running = running;
            upload.await
        });
        outcome(task.await)
    }

    /// The number of pairs.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until all have ended.
    pub async fn settled(&self) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// One upload.
struct Running(Uploads);

impl Running {
    fn new(uploads: Uploads) -> Self {
        uploads.0.send_modify(|count| *count = count.saturating_add(1));
        Self(uploads)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_continues_after_its_future_is_dropped() {
        let uploads = Uploads::default();
        let (done, ended) = tokio::sync::oneshot::channel();
        let upload = uploads.run(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let _ = done.send(());
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), upload).await.is_err());
        assert_eq!(uploads.count(), 1);
        uploads.settled().await;
        assert!(ended.await.is_ok() && uploads.count() == 0);
    }
}
