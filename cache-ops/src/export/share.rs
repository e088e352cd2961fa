//! One read of a blob for several pushes of it: a push that wants to read waits until the others have decided.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Result};
use tokio::sync::{OnceCell, watch};

use super::tee::{Branch, Tee};

/// How long a push that wants to read waits for the undecided ones; a late one then reads on its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pushes of one blob to several places.
pub(super) struct Share {
    /// How many pushes have neither asked to read nor come to an end.
    undecided: watch::Sender<usize>,
    tee: Arc<Tee>,
    opened: OnceCell<Result<()>>,
}

/// A push that has not decided whether to read; dropping it decides not to.
pub(super) struct PendingRead(Arc<Share>);

impl Share {
    /// One for each of `pushes`; a push that shares with no other needs none.
    pub(super) fn pending_reads(pushes: usize) -> Vec<Option<PendingRead>> {
        if pushes < 2 {
            return (0..pushes).map(|_| None).collect();
        }
        let undecided = watch::Sender::new(pushes);
        let share = Arc::new(Self { undecided, tee: Tee::new(), opened: OnceCell::new() });
        (0..pushes).map(|_| Some(PendingRead(Arc::clone(&share)))).collect()
    }

    /// Waits until all pushes have decided, then opens the source once.
    async fn open(&self, source: &dyn BlobProvider, blob: &Descriptor) -> Result<()> {
        let mut undecided = self.undecided.subscribe();
        // A push that decides later reads on its own.
        let _ = tokio::time::timeout(PATIENCE, undecided.wait_for(|left| *left == 0)).await;
        let open = || async {
            self.tee.seal();
            self.tee.open(source.read(blob, None).await?);
            Ok(())
        };
        self.opened.get_or_init(open).await.clone()
    }
}

impl PendingRead {
    /// Takes part in the one read; `None` when it has begun already.
    fn join(self) -> Option<(Arc<Share>, Branch)> {
        Some((Arc::clone(&self.0), self.0.tee.branch()?))
    }
}

impl Drop for PendingRead {
    fn drop(&mut self) {
        self.0.undecided.send_modify(|left| *left = left.saturating_sub(1));
    }
}

/// A source whose first read of a whole blob is shared.
pub(super) struct SharedSource<'a> {
    source: &'a dyn BlobProvider,
    pending: Mutex<Option<PendingRead>>,
}

impl<'a> SharedSource<'a> {
    /// Without `pending`, every read is a read of its own.
    pub(super) fn new(source: &'a dyn BlobProvider, pending: Option<PendingRead>) -> Self {
        Self { source, pending: Mutex::new(pending) }
    }

    fn take_pending(&self) -> Option<PendingRead> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl BlobProvider for SharedSource<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.source.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let joined = self.take_pending().filter(|_| range.is_none()).and_then(PendingRead::join);
        let Some((share, branch)) = joined else { return self.source.read(blob, range).await };
        share.open(self.source, blob).await?;
        Ok(Box::pin(branch))
    }
}
