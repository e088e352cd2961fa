//! Publishing with commits that replace the cache unconditionally.
//!
//! A publisher writes its cache next to the place, as a contribution. Then it repeats rounds: it lists the
//! contributions, reads the place, and if the place lacks something, writes the union and starts the next round. The
//! list is read before the place: a contribution that is deleted by then is in the place. So after each write there is
//! a look that sees what the write may have overwritten.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cache_core::seams::{Committed, ContributionName, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheManifest, Descriptor, Digest, Error, ErrorKind, Expect, Progress,
    Pushed, Result, Side, Timestamp, Version,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Current, Job, Leftovers, PublishWay, Published};
use crate::ExportReport;
use crate::export::{Place, export_one};
use crate::joined::JoinedBlobs;

/// How old a list may be when the union of what it names is written.
const ROUND: Duration = Duration::from_secs(10 * 60);
/// How long a contribution stays at least, merged or not.
///
/// A round takes less than [`ROUND`] from its list to its write, so an older contribution was seen by every round that
/// can still write. So the clocks of publishers to one place may differ by half an hour.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// How long an unmerged contribution stays: a killed writer may have hidden it from the cache, and the next publish
/// adds it again.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many contributions are read at once, and how many are read and removed at all; there are more only if no
/// publisher removes old ones.
const AT_ONCE: usize = 8;
const MOST: usize = 10_000;

impl Job<'_> {
    /// Writes a contribution, and repeats rounds until the place contains all contributions.
    pub(super) async fn contribute(&self, contributions: &dyn Contributions) -> Result<Published> {
        let name = ContributionName::new(contributions.cache(), Timestamp::now());
        let left = self.leave(contributions, &name).await?;
        let rounds =
            Rounds { job: self, contributions, name: &name, known: Mutex::new(Known::new(self.chains, name.clone())) };
        match rounds.run().await {
            Ok((look, commit)) => {
                let leftovers = rounds.remove_old(&look).await;
                let export = ExportReport { committed: commit.unwrap_or_else(|| left.committed.clone()), ..left };
                let published = Published::new(look.manifest, export, PublishWay::Contributions);
                Ok(Published { leftovers, ..published })
            }
            Err(error) => {
                // It is not reported as published; if it stays, the next publish adds it.
                let _ = contributions.remove(&name).await;
                Err(error)
            }
        }
    }

    async fn leave(&self, contributions: &dyn Contributions, name: &ContributionName) -> Result<ExportReport> {
        let to = Left { exporter: self.exporter, contributions, name };
        let settings = self.settings.export.clone().with_expect(Expect::Any);
        export_one(Place::new(&self.own, &to, &settings), self.blobs).await
    }
}

/// A place for one contribution: its blobs go where all blobs go.
struct Left<'a> {
    exporter: &'a dyn CacheExporter,
    contributions: &'a dyn Contributions,
    name: &'a ContributionName,
}

#[async_trait]
impl CacheExporter for Left<'_> {
    fn facts(&self) -> ExporterFacts {
        self.exporter.facts()
    }

    fn prepare(&self, manifest: &CacheManifest, progress: &Arc<dyn Progress>) {
        self.exporter.prepare(manifest, progress);
    }

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.exporter.push(blob, from).await
    }

    async fn commit(&self, manifest: &CacheManifest, _: Expect) -> Result<Committed> {
        self.contributions.write(self.name, manifest).await
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        self.exporter.spool().await
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

/// The rounds of one publish.
struct Rounds<'a> {
    job: &'a Job<'a>,
    contributions: &'a dyn Contributions,
    name: &'a ContributionName,
    known: Mutex<Known>,
}

/// The contributions read so far, which do not change.
struct Known {
    names: BTreeSet<ContributionName>,
    /// Our cache, and all that was contributed.
    union: CacheChains,
    /// The last write, and how many contributions were in it.
    written: Option<(Version, usize)>,
}

/// One look at a place and its contributions.
struct Look {
    begun: Instant,
    /// The contributions that were old already when it began.
    old: Vec<ContributionName>,
    /// Whether the list shows our own contribution. If it does not, it may lack those of others too.
    sees_ours: bool,
    next: Next,
}

/// What follows from a look at the place.
enum Next {
    /// The place contains everything.
    Done(Box<CacheManifest>),
    /// This union must be written.
    Write(Box<CacheManifest>),
}

/// The last look.
struct Last {
    manifest: CacheManifest,
    old: Vec<ContributionName>,
}

impl Look {
    /// The look as the last one, if it is.
    fn last(self) -> Result<Last> {
        let error = match self.next {
            Next::Done(manifest) if self.sees_ours => return Ok(Last { manifest: *manifest, old: self.old }),
            Next::Done(_) => {
                Error::new(ErrorKind::Unavailable, "the store's list lacks the contribution that was just written")
                    .with_hint("is the clock right?")
            }
            Next::Write(_) => Error::new(ErrorKind::Conflict, "others are publishing to this place at the same time"),
        };
        Err(error.on(Side::Destination).with_retryable(true))
    }
}

impl Known {
    fn new(own: &CacheChains, name: ContributionName) -> Self {
        Self { names: BTreeSet::from([name]), union: own.clone(), written: None }
    }
}

impl Rounds<'_> {
    /// Repeats rounds until a look finds everything in the place; returns that look and our last commit.
    async fn run(&self) -> Result<(Last, Option<Committed>)> {
        let progress = self.job.settings.export.progress.as_ref();
        self.job.retry().run(progress, || self.round()).await
    }

    async fn round(&self) -> Result<(Last, Option<Committed>)> {
        let look = self.look().await?;
        let union = match look.next {
            Next::Done(_) => return Ok((look.last()?, None)),
            Next::Write(union) => union,
        };
        let committed = self.write(&union, look.begun).await?;
        if committed.version.is_none() {
            // A cache without layers is written nowhere.
            return Ok((Last { manifest: *union, old: look.old }, Some(committed)));
        }
        Ok((self.look().await?.last()?, Some(committed)))
    }

    async fn look(&self) -> Result<Look> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        let listed = self.contributions.list().await.map_err(|error| error.on(Side::Destination))?;
        // The newest, in order of time.
        let newest = listed.into_iter().rev().take(MOST);
        let (fresh, left): (Vec<_>, Vec<_>) = newest.partition(|name| name.age(now) < KEPT);
        let sees_ours = fresh.contains(self.name);
        let old = fresh.iter().chain(&left).filter(|name| name.age(now) >= YOUNG).cloned().collect();
        self.read(fresh).await?;
        let current = self.job.current().await?;
        Ok(Look { begun, old, sees_ours, next: self.decide(current)? })
    }

    /// Adds the new contributions of a list to the union.
    async fn read(&self, names: Vec<ContributionName>) -> Result<()> {
        let new: Vec<ContributionName> = {
            let known = self.known();
            names.into_iter().filter(|name| !known.names.contains(name)).collect()
        };
        let reads: Vec<BoxFuture<'_, _>> = new.into_iter().map(|name| self.read_one(name).boxed()).collect();
        let mut reads = stream::iter(reads).buffered(AT_ONCE);
        while let Some((name, chains)) = reads.try_next().await? {
            let mut known = self.known();
            if let Some(chains) = chains {
                known.union.merge(&chains)?;
            }
            known.names.insert(name);
        }
        Ok(())
    }

    /// The chains of a contribution. `None` if it was removed, since the place then contains it, or if its content is
    /// invalid.
    async fn read_one(&self, name: ContributionName) -> Result<(ContributionName, Option<CacheChains>)> {
        let read = self.contributions.read(&name).await;
        match read.and_then(|read| read.map(|manifest| CacheChains::from_manifest(&manifest)).transpose()) {
            Ok(chains) => Ok((name, chains)),
            Err(error) if is_of_content(&error) => Ok((name, None)),
            Err(error) => Err(error.on(Side::Destination)),
        }
    }

    fn decide(&self, current: Option<Current>) -> Result<Next> {
        let known = self.known();
        let Some(current) = current else {
            return Ok(Next::Write(Box::new(self.job.fit(&known.union, None)?)));
        };
        if known.written == Some((current.version.clone(), known.names.len())) {
            return Ok(Next::Done(Box::new(current.manifest)));
        }
        let mut union = current.chains.clone();
        union.merge(&known.union)?;
        Ok(match self.job.lacking(&union, Some(&current))? {
            Some(union) => Next::Write(Box::new(union)),
            None => Next::Done(Box::new(current.manifest)),
        })
    }

    /// Replaces the cache at the place. All blobs exist: ours were pushed, and others push theirs before they
    /// contribute.
    async fn write(&self, union: &CacheManifest, begun: Instant) -> Result<Committed> {
        if begun.elapsed() >= ROUND {
            let error = Error::new(ErrorKind::Unavailable, "reading the contributions of others took too long");
            return Err(error.on(Side::Destination).with_retryable(true));
        }
        let names = self.known().names.len();
        let held: HashSet<Digest> = union.blobs().iter().map(|blob| blob.digest).collect();
        let sources = JoinedBlobs::new().with(&self.job.own, self.job.blobs).with(union, self.job.importer);
        let settings = self.job.settings.export.clone().with_expect(Expect::Any);
        let place = Place::new(union, self.job.exporter, &settings).with_held(held);
        let committed = export_one(place, &sources).await?.committed;
        self.known().written = committed.version.clone().map(|version| (version, names));
        Ok(committed)
    }

    /// Removes old contributions, which the place contains. After one that cannot be removed, no other is tried.
    async fn remove_old(&self, last: &Last) -> Option<Leftovers> {
        for (at, name) in last.old.iter().enumerate() {
            if let Err(error) = self.contributions.remove(name).await {
                return Some(Leftovers { names: last.old[at..].to_vec(), error });
            }
        }
        None
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a contribution cannot be read however often one tries.
fn is_of_content(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidManifest | ErrorKind::NotFound | ErrorKind::LimitExceeded | ErrorKind::DigestMismatch
    )
}
