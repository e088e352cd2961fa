//! Publishing with commits that check the place: one succeeds only if no other writer came in between, or is checked
//! again afterwards.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{CacheChains, CacheManifest, Digest, Error, ErrorKind, Event, Expect, Result, Side};

use super::{Current, Job, PublishWay, Published};
use crate::ExportReport;
use crate::export::{Place, export_one};
use crate::joined::JoinedBlobs;

const SETTLING: &str = "another writer's commit may still replace this one, so it is checked again after that";

/// How many commits may meet something that no read finds: a store may show a new cache late.
const MOST_UNSEEN: u32 = 3;

impl Job<'_> {
    /// Reads, merges and commits, and starts again while other writers commit in between. `list` is the reason why
    /// contributions cannot be listed, if the store has them.
    pub(super) async fn commit(&self, list: Option<Error>) -> Result<Published> {
        let progress = self.settings.export.progress.as_ref();
        let (manifest, export) = self.retry().run(progress, || self.try_commit()).await?;
        let way = match export.committed.settles_in {
            Some(wait) => PublishWay::Timed { wait, list },
            None => PublishWay::Conditional,
        };
        Ok(Published::new(manifest, export, way))
    }

    async fn try_commit(&self) -> Result<(CacheManifest, ExportReport)> {
        let current = self.current().await?;
        let union = self.union(current.as_ref())?;
        let written = self.commit_onto(current.as_ref(), &union).await;
        let (manifest, export) = written.map_err(|error| self.retry_when_lost(error, current.as_ref()))?;
        match export.committed.settles_in {
            Some(wait) => Ok((self.settle(union, wait).await?, export)),
            None => Ok((manifest, export)),
        }
    }

    /// Makes a lost race retryable, which it is only here. Something other than a cache is not replaced, but is an
    /// error.
    fn retry_when_lost(&self, error: Error, current: Option<&Current>) -> Error {
        if error.kind() != ErrorKind::Conflict {
            return error;
        }
        if current.is_none() && self.unseen.fetch_add(1, Ordering::Relaxed) >= MOST_UNSEEN {
            let seen = Error::new(
                ErrorKind::Unsupported,
                "the place has something that is not a cache, and would be replaced",
            );
            return seen.on(Side::Destination).with_source(error).with_hint("publish under another name");
        }
        error.with_retryable(true)
    }

    /// The union of everything that was read so far and of the cache at the place.
    fn union(&self, current: Option<&Current>) -> Result<CacheChains> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = current else { return Ok(known.clone()) };
        let mut union = current.chains.clone();
        union.merge(&known)?;
        Ok(union)
    }

    async fn commit_onto(
        &self,
        current: Option<&Current>,
        union: &CacheChains,
    ) -> Result<(CacheManifest, ExportReport)> {
        let merged = self.fit(union, current)?;
        let sources = JoinedBlobs::new().with(&self.own, self.blobs).with(&merged, self.importer);
        let (held, expect) = match current {
            Some(current) => (held(&merged, &self.own), Expect::Version(current.version.clone())),
            None => (HashSet::new(), Expect::Absent),
        };
        let settings = self.settings.export.clone().with_expect(expect);
        let place = Place::new(&merged, self.exporter, &settings).with_held(held);
        let export = export_one(place, &sources).await?;
        Ok((merged, export))
    }

    /// Waits until all writers that have not seen the commit have written, and checks whether one has replaced it. If
    /// so, the next try writes its content again, since others may have been told by now that it is published.
    async fn settle(&self, written: CacheChains, wait: Duration) -> Result<CacheManifest> {
        self.settings.export.progress.event(&Event::Throttled { reason: SETTLING, wait, left: None });
        tokio::time::sleep(wait).await;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = written;
        let current = self.current().await?;
        let union = self.union(current.as_ref())?;
        match (self.lacking(&union, current.as_ref())?, current) {
            (None, Some(current)) => Ok(current.manifest),
            _ => {
                let error = Error::new(ErrorKind::Conflict, "another writer's commit has replaced this one");
                Err(error.on(Side::Destination).with_retryable(true))
            }
        }
    }
}

/// The blobs that only other publishers have pushed. A look at each of them would cost more with every publisher.
fn held(merged: &CacheManifest, own: &CacheManifest) -> HashSet<Digest> {
    let own: HashSet<Digest> = own.blobs().iter().map(|blob| blob.digest).collect();
    merged.blobs().iter().map(|blob| blob.digest).filter(|blob| !own.contains(blob)).collect()
}
