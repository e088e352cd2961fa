//! One place of an export: what goes there, and how far it is.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;

use super::share::{Shared, Ticket};
use super::source::Counted;
use super::{ExportReport, ExportSettings};
use crate::{
    BlobProvider, CacheExporter, CacheManifest, Committed, Descriptor, Digest, Error, ErrorKind, Event, Pushed, Result,
    Side,
};

/// How often an export starts again when a blob is gone by the time of the commit.
const ROUNDS: u32 = 3;

/// Where a cache goes.
pub(crate) struct Place<'a> {
    pub(super) manifest: &'a CacheManifest,
    pub(super) settings: &'a ExportSettings,
    to: &'a dyn CacheExporter,
    bytes: Arc<AtomicU64>,
    state: watch::Sender<State>,
}

/// How far the pushes are.
struct State {
    /// How many blobs are not pushed yet.
    left: usize,
    pushed: BTreeMap<Digest, Pushed>,
    /// The first failure; nothing is pushed after it.
    failure: Option<Error>,
}

impl<'a> Place<'a> {
    /// Nothing has gone there yet.
    pub(crate) fn new(manifest: &'a CacheManifest, to: &'a dyn CacheExporter, settings: &'a ExportSettings) -> Self {
        let state = State { left: manifest.blobs().len(), pushed: BTreeMap::new(), failure: None };
        Self { manifest, settings, to, bytes: Arc::default(), state: watch::Sender::new(state) }
    }

    pub(super) fn announce(&self) {
        self.tell(&Event::Started { blobs: self.manifest.blobs().len(), bytes: self.manifest.unique_bytes() });
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state.borrow().failure.is_some()
    }

    /// Takes one of the blobs, unless something else fails first.
    pub(super) async fn receive(&self, blob: &Descriptor, source: &dyn BlobProvider, ticket: Option<Ticket>) {
        let push = pin!(self.push(blob, source, ticket));
        let mut state = self.state.subscribe();
        let failed = pin!(state.wait_for(|state| state.failure.is_some()));
        let outcome = match select(push, failed).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => return,
        };
        self.state.send_modify(|state| match outcome {
            Ok(pushed) => {
                state.left = state.left.saturating_sub(1);
                state.pushed.insert(blob.digest, pushed);
            }
            Err(error) if state.failure.is_none() => state.failure = Some(error),
            Err(_) => {}
        });
    }

    /// Waits for every blob, then commits.
    pub(super) async fn finish(&self, source: &dyn BlobProvider) -> Result<ExportReport> {
        self.pushed().await?;
        let retry = self.settings.retry;
        let rounds = retry.with_attempts(retry.attempts.min(ROUNDS));
        let mut is_first = true;
        let round = || {
            let has_pushed = std::mem::take(&mut is_first);
            async move {
                if !has_pushed {
                    self.push_all(source).await?;
                }
                self.commit().await
            }
        };
        let committed = rounds.run(&*self.settings.progress, round).await?;
        self.tell(&Event::Committed { committed: &committed });
        Ok(self.report(committed))
    }

    async fn pushed(&self) -> Result<()> {
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| state.left == 0 || state.failure.is_some()).await;
        let failure = over.map_or_else(|closed| Some(abandoned().with_source(closed)), |state| state.failure.clone());
        failure.map_or(Ok(()), Err)
    }

    /// Pushes once more what has been pushed: a commit has found that something is gone.
    async fn push_all(&self, source: &dyn BlobProvider) -> Result<()> {
        let blobs = self.manifest.blobs().iter();
        let pushes: Vec<BoxFuture<'_, _>> =
            blobs.map(|blob| async move { Ok((blob.digest, self.push(blob, source, None).await?)) }.boxed()).collect();
        let pushes = stream::iter(pushes).buffer_unordered(self.settings.concurrency.max(1));
        let pushed = pushes.try_collect().await?;
        self.state.send_modify(|state| state.pushed = pushed);
        Ok(())
    }

    async fn push(&self, blob: &Descriptor, source: &dyn BlobProvider, ticket: Option<Ticket>) -> Result<Pushed> {
        self.tell(&Event::BlobStarted { blob });
        let mut ticket = ticket;
        let once = || {
            // Only the first try is in step with other places.
            let shared = Shared::new(source, ticket.take());
            async move {
                let counted = Counted { inner: &shared, progress: &self.settings.progress, bytes: &self.bytes };
                let pushed = self.to.push(blob, &counted).await;
                pushed.map_err(|error| error.on(Side::Destination).with("blob", blob.digest))
            }
        };
        let pushed = self.settings.retry.run(&*self.settings.progress, once).await;
        // A push that was tried often enough is not tried again in the next round.
        let pushed = pushed.map_err(|error| error.with_retryable(false))?;
        self.tell(&Event::BlobDone { blob, pushed });
        Ok(pushed)
    }

    async fn commit(&self) -> Result<Committed> {
        self.tell(&Event::Committing);
        let committed = self.to.commit(self.manifest, self.settings.expect.clone()).await;
        committed.map_err(|error| error.on(Side::Destination))
    }

    fn report(&self, committed: Committed) -> ExportReport {
        let mut pushed: BTreeMap<&'static str, usize> = BTreeMap::new();
        self.state.borrow().pushed.values().for_each(|means| *pushed.entry(means.name()).or_default() += 1);
        ExportReport { pushed, bytes: self.bytes.load(Ordering::Relaxed), committed }
    }

    fn tell(&self, event: &Event<'_>) {
        self.settings.progress.event(event);
    }
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Unavailable, "the export was given up")
}
