//! One destination of an export, and its state.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use cache_core::seams::Committed;
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheManifest, Descriptor, Digest, Error, ErrorKind, Event, Pushed,
    Result, Side,
};
use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::convert::{Conversion, Converted, WithConverted, replace_layers};
use super::gate::Gate;
use super::share::{PendingRead, SharedSource};
use super::source::{Counted, SentBytes, Verified};
use super::spool::Spooled;
use super::{ExportReport, ExportSettings, Recheck};
use crate::spans;

/// How often an export starts again if a blob was deleted before the commit.
const ROUNDS: u32 = 3;

/// Where a cache goes.
pub(crate) struct Place<'a> {
    pub(super) manifest: &'a CacheManifest,
    pub(super) settings: &'a ExportSettings,
    to: &'a dyn CacheExporter,
    conversion: Option<&'a Conversion>,
    /// Blobs that the place certainly has, because its present cache needs them.
    held: HashSet<Digest>,
    sent: Arc<SentBytes>,
    /// The gate that slows down when the place refuses a push for now.
    gate: OnceLock<Arc<Gate>>,
    state: watch::Sender<State>,
}

/// The state of the pushes.
struct State {
    /// How many blobs are not pushed yet.
    left: usize,
    pushed: BTreeMap<Digest, Pushed>,
    converted: Converted,
    /// The blobs that the place can neither store nor return ([`ErrorKind::Locked`](cache_core::ErrorKind::Locked)).
    locked: BTreeSet<Digest>,
    /// The first failure; nothing is pushed after it.
    failure: Option<Error>,
}

impl<'a> Place<'a> {
    /// No push yet.
    pub(crate) fn new(manifest: &'a CacheManifest, to: &'a dyn CacheExporter, settings: &'a ExportSettings) -> Self {
        let left = manifest.blobs().len();
        let (pushed, converted, locked) = (BTreeMap::new(), Converted::new(), BTreeSet::new());
        let state = State { left, pushed, converted, locked, failure: None };
        let (held, sent, state) = (HashSet::new(), Arc::default(), watch::Sender::new(state));
        Self { manifest, settings, to, conversion: None, held, sent, gate: OnceLock::new(), state }
    }

    /// Skips these blobs, which the place has.
    pub(crate) fn with_held(self, held: HashSet<Digest>) -> Self {
        let place = Self { held, ..self };
        let left = place.needed().count();
        place.state.send_modify(|state| state.left = left);
        place
    }

    /// The blobs that are pushed.
    pub(super) fn needed(&self) -> impl Iterator<Item = &'a Descriptor> {
        self.manifest.blobs().iter().map(AsRef::as_ref).filter(|blob| !self.held.contains(&blob.digest))
    }

    /// Converts layers on the way there.
    pub(crate) fn with_conversion(self, conversion: Option<&'a Conversion>) -> Self {
        Self { conversion: conversion.filter(|conversion| conversion.is_forced()), ..self }
    }

    /// The cache that is written, if it differs from the source: with converted layers, and without the results that
    /// need a locked blob.
    pub(crate) fn written(&self) -> Result<Option<CacheManifest>> {
        let state = self.state.borrow();
        let converted = match state.converted.is_empty() {
            true => None,
            false => Some(replace_layers(self.manifest, &state.converted)?),
        };
        if state.locked.is_empty() {
            return Ok(converted);
        }
        without(converted.as_ref().unwrap_or(self.manifest), &state.locked).map(Some)
    }

    /// The layers that were converted, each with its new descriptor.
    pub(crate) fn replaced(&self) -> BTreeMap<Digest, Digest> {
        self.state.borrow().converted.iter().map(|(old, new)| (*old, new.descriptor.digest)).collect()
    }

    pub(super) fn conversion(&self) -> Option<&'a Conversion> {
        self.conversion
    }

    pub(super) fn settles_apart(&self) -> bool {
        self.to.facts().settles_apart
    }

    /// The folder of the place for converted layers.
    pub(super) async fn spool(&self) -> Result<Option<PathBuf>> {
        self.to.spool().await.map_err(|error| error.on(Side::Destination))
    }

    pub(super) fn announce(&self) {
        let (blobs, bytes) = self.needed().fold((0, 0_u64), |(n, sum), blob| (n + 1, sum.saturating_add(blob.size)));
        self.tell(&Event::Started { blobs, bytes });
        self.to.prepare(self.manifest, &self.settings.progress);
    }

    /// Sets the gate that slows down when the place refuses a push for now.
    pub(super) fn obey(&self, gate: &Arc<Gate>) {
        // The gate is set once for each export.
        let _ = self.gate.set(Arc::clone(gate));
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state.borrow().failure.is_some()
    }

    /// Waits until something has failed.
    pub(super) async fn failed(&self) {
        // The sender is a field of `self`, so the wait ends only with a failure.
        let _ = self.state.subscribe().wait_for(|state| state.failure.is_some()).await;
    }

    pub(super) fn fail(&self, error: Error) {
        self.state.send_modify(|state| {
            if state.failure.is_none() {
                state.failure = Some(error);
            }
        });
    }

    /// Replaces one of the blobs with its converted layer.
    pub(super) fn replace(&self, blob: &Descriptor, by: Arc<Spooled>) {
        self.tell(&Event::Converted { blob, into: &by.descriptor });
        self.state.send_modify(|state| drop(state.converted.insert(blob.digest, by)));
    }

    /// Takes one of the blobs, unless something else fails first.
    pub(super) async fn receive(&self, blob: &Descriptor, source: &dyn BlobProvider, pending: Option<PendingRead>) {
        let (push, failed) = (pin!(self.push(blob, source, pending)), pin!(self.failed()));
        match select(push, failed).await {
            Either::Left((Ok(pushed), _)) => self.state.send_modify(|state| {
                state.left = state.left.saturating_sub(1);
                state.pushed.insert(blob.digest, pushed);
            }),
            Either::Left((Err(error), _)) if error.kind() == ErrorKind::Locked => self.state.send_modify(|state| {
                state.left = state.left.saturating_sub(1);
                state.locked.insert(blob.digest);
            }),
            Either::Left((Err(error), _)) => self.fail(error),
            Either::Right(_) => {}
        }
    }

    /// Waits for every blob, then commits.
    pub(super) async fn finish(&self, source: &Verified<'_>) -> Result<ExportReport> {
        self.pushed().await?;
        let written = self.written()?;
        let manifest = written.as_ref().unwrap_or(self.manifest);
        if !self.tell_left_out(manifest) {
            return Ok(self.report(Committed::default()));
        }
        let source = WithConverted::new(source, &self.state.borrow().converted);
        let retry = self.settings.retry;
        let rounds = retry.with_attempts(retry.attempts().min(ROUNDS));
        let mut is_first = true;
        let round = || {
            let (has_pushed, source) = (std::mem::take(&mut is_first), &source);
            async move {
                if !has_pushed {
                    self.push_again(manifest.blobs().iter().map(AsRef::as_ref), source).await?;
                }
                self.commit(manifest).await
            }
        };
        let committed = rounds.run(&*self.settings.progress, round).await?;
        self.tell(&Event::Committed { committed: &committed });
        if self.rechecks() && committed.version.is_some() {
            self.recheck(manifest, &source).await?;
        }
        Ok(self.report(committed))
    }

    /// Reports what is left out. Returns whether anything is left to write: a cache without layers must not replace one
    /// that has some.
    fn tell_left_out(&self, written: &CacheManifest) -> bool {
        let blobs: Vec<Digest> = self.state.borrow().locked.iter().copied().collect();
        if blobs.is_empty() {
            return true;
        }
        let left = results(written);
        self.tell(&Event::LeftOut { blobs: &blobs, results: results(self.manifest).saturating_sub(left), left });
        left > 0
    }

    fn rechecks(&self) -> bool {
        match self.settings.recheck {
            Recheck::WhereNeeded => self.to.facts().needs_recheck,
            Recheck::Always => true,
            Recheck::Never => false,
        }
    }

    /// Pushes the blobs that were present before the commit again, in case they were deleted since; from now on the
    /// manifest protects them.
    async fn recheck(&self, manifest: &CacheManifest, source: &dyn BlobProvider) -> Result<()> {
        let pushed = self.state.borrow().pushed.clone();
        // One that was refreshed is too young for anybody to delete.
        let was_there = |blob: &&Descriptor| pushed.get(&blob.digest) == Some(&Pushed::Present);
        let blobs = manifest.blobs().iter().map(AsRef::as_ref);
        self.push_again(blobs.filter(was_there), source).await.map_err(|error| {
            error.with_hint("the cache is written, but one of its blobs was deleted meanwhile: copy again")
        })
    }

    async fn pushed(&self) -> Result<()> {
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| state.left == 0 || state.failure.is_some()).await;
        let failure = over.map_or_else(|closed| Some(abandoned().with_source(closed)), |state| state.failure.clone());
        failure.map_or(Ok(()), Err)
    }

    /// Pushes all pushed blobs again, since some may be gone. Only what is sent is reported.
    async fn push_again<'b>(
        &self,
        blobs: impl Iterator<Item = &'b Descriptor>,
        source: &'b dyn BlobProvider,
    ) -> Result<()> {
        let pushes: Vec<BoxFuture<'_, _>> = blobs
            .map(|blob| async move { Ok((blob.digest, self.try_push(blob, source, None).await?)) }.boxed())
            .collect();
        let pushes = stream::iter(pushes).buffer_unordered(self.settings.concurrency.most());
        let pushed: Vec<(Digest, Pushed)> = pushes.try_collect().await?;
        self.state.send_modify(|state| state.pushed.extend(pushed.into_iter().filter(|(_, means)| is_sent(*means))));
        Ok(())
    }

    async fn push(&self, blob: &Descriptor, source: &dyn BlobProvider, pending: Option<PendingRead>) -> Result<Pushed> {
        self.tell(&Event::BlobStarted { blob });
        let pushed = self.try_push(blob, source, pending).await?;
        self.tell(&Event::BlobDone { blob, pushed });
        Ok(pushed)
    }

    async fn try_push(
        &self,
        blob: &Descriptor,
        source: &dyn BlobProvider,
        pending: Option<PendingRead>,
    ) -> Result<Pushed> {
        let mut pending = pending;
        let once = || {
            // Only the first try is in step with other places.
            let shared = SharedSource::new(source, pending.take());
            async move {
                let counted = Counted { inner: &shared, progress: &self.settings.progress, sent: &self.sent };
                let gate = self.gate.get();
                let halvings = gate.map_or(0, |gate| gate.halvings());
                let pushed = self.to.push(blob, &counted).await;
                if let (Some(gate), true) = (gate, pushed.as_ref().is_err_and(is_refusal)) {
                    gate.refused(halvings);
                }
                pushed.map_err(|error| error.on(Side::Destination).with("blob", blob.digest))
            }
        };
        self.settings.retry.run_final(&*self.settings.progress, once).instrument(spans::push(blob)).await
    }

    async fn commit(&self, manifest: &CacheManifest) -> Result<Committed> {
        self.tell(&Event::Committing);
        let committed = self.to.commit(manifest, self.settings.expect.clone()).instrument(spans::commit()).await;
        committed.map_err(|error| error.on(Side::Destination))
    }

    fn report(&self, committed: Committed) -> ExportReport {
        let mut pushed: BTreeMap<&'static str, usize> = BTreeMap::new();
        self.state.borrow().pushed.values().for_each(|means| *pushed.entry(means.name()).or_default() += 1);
        let left_out = self.state.borrow().locked.iter().copied().collect();
        ExportReport { pushed, bytes: self.sent.bytes(), left_out, committed }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.settings.progress.event(event);
    }
}

/// The cache without the results that need one of these blobs.
fn without(manifest: &CacheManifest, blobs: &BTreeSet<Digest>) -> Result<CacheManifest> {
    let mut chains = CacheChains::from_manifest(manifest)?;
    chains.drop_results_needing(&blobs.iter().copied().collect());
    Ok(chains.to_manifest().with_form(manifest.form()))
}

fn results(manifest: &CacheManifest) -> usize {
    manifest.config().records.iter().map(|record| record.results.len()).sum()
}

/// Whether the push wrote the blob.
fn is_sent(means: Pushed) -> bool {
    matches!(means, Pushed::Uploaded | Pushed::Mounted)
}

/// Whether a store is overloaded.
fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::RateLimited || matches!(error.status(), Some(429 | 503))
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Unavailable, "the export was stopped")
}
