//! Publishing: several writers add to one cache at the same time, and none loses records.
//!
//! With conditional commits, a writer reads, merges and commits, and starts again if another writer was first.
//! Where they are not, it leaves its cache next to the place first, and starts again until the place holds everything
//! that was left there. Where that cannot be listed either, it waits after its commit for as long as another one may
//! take, and looks. The test `publish_model` goes through every order in which all of that can happen.

mod conditional;
mod contribute;
mod report;
mod settings;

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Error, ErrorKind, Result, Side,
};
use cache_kit::RetryPolicy;

pub(crate) use self::contribute::KEPT;
pub use self::report::{Leftovers, PublishWay, Published};
pub use self::settings::{PublishSettings, SizeLimit};

/// How often a publish tries again after a conflict.
const ATTEMPTS: u32 = 50;
/// After a conflict the other writer is done, so the next try may come soon.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Merges `chains` into the cache of a place: reads it, merges, commits, and starts again if another writer was faster.
///
/// `importer` and `exporter` are of the same place. Only the blobs of `chains` are pushed, from `blobs`; those of the
/// present cache are not read. When this returns, the place contains what was published, and concurrent publishers do
/// not remove it. [`Published::way`] tells how that is ensured, and under which condition.
///
/// # Errors
/// [`ErrorKind::Conflict`] if other writers were faster 50 times in a row, [`ErrorKind::LimitExceeded`] for a union
/// over the limit of the settings, [`ErrorKind::Unsupported`] if the place contains an image, else the first error of
/// either side. The present cache is not damaged by a failure.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, Digest};
/// use cache_memory::MemoryCache;
/// use cache_ops::{PublishSettings, publish};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (blobs, place) = (MemoryCache::new(), MemoryCache::new());
/// let mut graph = CacheChains::new();
/// graph.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
/// publish(&graph, &blobs, &place, &place, &PublishSettings::default()).await?;
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn publish(
    chains: &CacheChains,
    blobs: &dyn BlobProvider,
    importer: &dyn CacheImporter,
    exporter: &dyn CacheExporter,
    settings: &PublishSettings,
) -> Result<Published> {
    let known = Mutex::new(chains.clone());
    let (own, unseen) = (chains.to_manifest(), AtomicU32::new(0));
    let job = Job { chains, own, known, unseen, blobs, importer, exporter, settings };
    let contributions = exporter.contributions().await.map_err(|error| error.on(Side::Destination))?;
    let Some(contributions) = contributions else {
        return job.commit(None).await;
    };
    match contributions.list().await {
        Ok(_) => job.contribute(contributions).await,
        Err(error) if cannot_list(&error) => job.commit(Some(error)).await,
        Err(error) => Err(error.on(Side::Destination)),
    }
}

/// One cache that is published to one place.
struct Job<'a> {
    chains: &'a CacheChains,
    own: CacheManifest,
    /// Our cache and, if another commit may hide ours, everything that was read and written since.
    known: Mutex<CacheChains>,
    /// How many commits have met something that no read has found.
    unseen: AtomicU32,
    blobs: &'a dyn BlobProvider,
    importer: &'a dyn CacheImporter,
    exporter: &'a dyn CacheExporter,
    settings: &'a PublishSettings,
}

/// The cache at the place.
struct Current {
    manifest: CacheManifest,
    chains: CacheChains,
    version: cache_core::Version,
}

impl Job<'_> {
    async fn current(&self) -> Result<Option<Current>> {
        let resolved = self.importer.resolve().await.map_err(|error| error.on(Side::Destination))?;
        let Some(resolved) = resolved else { return Ok(None) };
        if !resolved.manifest.inline_images().is_empty() {
            let error = Error::new(ErrorKind::Unsupported, "the place holds an image, and a cache would replace it");
            return Err(error.on(Side::Destination).with_hint("publish under another name"));
        }
        let chains = CacheChains::from_manifest(&resolved.manifest).map_err(unsound)?;
        Ok(Some(Current { manifest: resolved.manifest, chains, version: resolved.version }))
    }

    /// The union to write; `None` if the place contains it already.
    fn lacking(&self, union: &CacheChains, current: Option<&Current>) -> Result<Option<CacheManifest>> {
        let manifest = self.fit(union, current)?;
        let is_there = current.is_some_and(|current| current.chains.to_manifest().config() == manifest.config());
        Ok(if is_there { None } else { Some(manifest) })
    }

    /// The manifest of a union, in the form of what it replaces and within the limit.
    fn fit(&self, union: &CacheChains, current: Option<&Current>) -> Result<CacheManifest> {
        let manifest = union.to_manifest().with_form(current.and_then(|current| current.manifest.form()));
        match self.settings.limit {
            Some(limit) => limit.fit(manifest),
            None => Ok(manifest),
        }
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy::default().with_attempts(ATTEMPTS).with_waits(FIRST_WAIT, LONGEST_WAIT)
    }
}

/// The present cache is not a sound graph, so nothing can be merged with it.
fn unsound(error: Error) -> Error {
    error.on(Side::Destination).with_hint("repair or delete the present cache, and publish again")
}

/// Whether the store has no list, or refuses it to us.
fn cannot_list(error: &Error) -> bool {
    let kinds = [ErrorKind::Unsupported, ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::Unauthenticated];
    kinds.contains(&error.kind())
}
