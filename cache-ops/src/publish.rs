//! Publishing: several writers to one place, and nobody loses anything.

use std::collections::HashSet;
use std::time::Duration;

use crate::export::{ExportReport, ExportSettings, Place, export_one};
use crate::joined::JoinedBlobs;
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Digest, Error, ErrorKind, Expect, Result,
    RetryPolicy, Side,
};

/// How often a publish that lost a race tries again.
const ATTEMPTS: u32 = 50;
/// A race is lost to somebody who has won it already, so the next try may come soon.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Adds `chains` to the cache at a place: reads it, merges, and commits on condition that it has not changed; after a
/// lost race it starts again.
///
/// `place` is the same place seen from both sides. Its blobs are not looked at, only those of `chains` are pushed, from
/// `blobs`. With
/// a store that honours conditions, the caches of any number of concurrent writers all end up in the place.
///
/// # Errors
/// [`ErrorKind::Conflict`] after 50 lost races, else the first error of either side.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, Digest, MemoryCache};
/// use cache_ops::{ExportSettings, publish};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (blobs, place) = (MemoryCache::new(), MemoryCache::new());
/// let mut graph = CacheChains::new();
/// graph.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
/// publish(&graph, &blobs, (&place, &place), &ExportSettings::default()).await?;
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn publish(
    chains: &CacheChains,
    blobs: &dyn BlobProvider,
    place: (&dyn CacheImporter, &dyn CacheExporter),
    settings: &ExportSettings,
) -> Result<ExportReport> {
    let (importer, exporter) = place;
    let own = chains.to_manifest();
    let once = || async {
        let sources = JoinedBlobs::new().with(&own, blobs);
        let (merged, sources, held, expect) =
            match importer.resolve().await.map_err(|error| error.on(Side::Destination))? {
                Some(resolved) => {
                    let theirs = &resolved.manifest;
                    let mut merged = CacheChains::from_manifest(theirs).map_err(unsound)?;
                    merged.merge(chains)?;
                    let merged = merged.to_manifest().with_form(theirs.form());
                    let held = held(theirs, &own);
                    (merged, sources.with(theirs, importer), held, Expect::Version(resolved.version))
                }
                None => (own.clone(), sources, HashSet::new(), Expect::Absent),
            };
        let settings = settings.clone().with_expect(expect);
        let place = Place::new(&merged, exporter, &settings).with_held(held);
        export_one(place, &sources).await.map_err(retry_when_lost)
    };
    let policy = RetryPolicy::default().with_attempts(ATTEMPTS).with_waits(FIRST_WAIT, LONGEST_WAIT);
    policy.run(settings.progress.as_ref(), once).await
}

/// The blobs that only the cache needs that is there: asking for each of them would cost more with every publisher.
fn held(theirs: &CacheManifest, own: &CacheManifest) -> HashSet<Digest> {
    let own: HashSet<Digest> = own.blobs().iter().map(|blob| blob.digest).collect();
    theirs.blobs().iter().map(|blob| blob.digest).filter(|blob| !own.contains(blob)).collect()
}

/// What is there already is no graph: nothing can be added to it.
fn unsound(error: Error) -> Error {
    error.on(Side::Destination).with_hint("repair the cache that is there, or delete it, and publish again")
}

/// A lost race is worth another try here, and nowhere else.
fn retry_when_lost(error: Error) -> Error {
    if error.kind() == ErrorKind::Conflict { error.with_retryable(true) } else { error }
}
