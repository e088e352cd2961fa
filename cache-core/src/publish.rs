//! Publishing: several writers to one place, and nobody loses anything.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BlobInfo, BlobProvider, BlobStream, CacheChains, CacheExporter, CacheImporter, Descriptor, Digest, Error,
    ErrorKind, Expect, ExportReport, ExportSettings, Result, RetryPolicy, export,
};

/// How often a publish that lost a race tries again.
const ATTEMPTS: u32 = 50;
/// A race is lost to somebody who has won it already, so the next try may come soon.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Adds `chains` to the cache at a place: reads it, merges, and commits on condition that it has not changed; after a
/// lost race it starts again.
///
/// `place` is the same place seen from both sides. Its blobs are not copied, only those of `chains`, from `blobs`. With
/// a store that honours conditions, the caches of any number of concurrent writers all end up in the place.
///
/// # Errors
/// [`ErrorKind::Conflict`] after 50 lost races, else the first error of either side.
pub async fn publish(
    chains: &CacheChains,
    blobs: &dyn BlobProvider,
    place: (&dyn CacheImporter, &dyn CacheExporter),
    settings: &ExportSettings,
) -> Result<ExportReport> {
    let (importer, exporter) = place;
    let own = chains.to_manifest().blobs().iter().map(|blob| blob.digest).collect();
    let source = Joined { own, blobs, theirs: importer };
    let once = || async {
        let (merged, expect) = match importer.resolve().await? {
            Some(resolved) => {
                let mut merged = CacheChains::from_manifest(&resolved.manifest)?;
                merged.merge(chains)?;
                let form = resolved.manifest.form();
                (merged.to_manifest().with_form(form), Expect::Version(resolved.version))
            }
            None => (chains.to_manifest(), Expect::Absent),
        };
        let settings = settings.clone().with_expect(expect);
        export(&merged, &source, exporter, &settings).await.map_err(retry_when_lost)
    };
    let policy = RetryPolicy::default().with_attempts(ATTEMPTS).with_waits(FIRST_WAIT, LONGEST_WAIT);
    policy.run(settings.progress.as_ref(), once).await
}

/// A lost race is worth another try here, and nowhere else.
fn retry_when_lost(error: Error) -> Error {
    if error.kind() == ErrorKind::Conflict { error.with_retryable(true) } else { error }
}

/// The blobs of what is published, and those that the place has already.
struct Joined<'a> {
    own: HashSet<Digest>,
    blobs: &'a dyn BlobProvider,
    theirs: &'a dyn CacheImporter,
}

impl Joined<'_> {
    fn provider(&self, blob: &Descriptor) -> &dyn BlobProvider {
        if self.own.contains(&blob.digest) { self.blobs } else { self.theirs }
    }
}

#[async_trait]
impl BlobProvider for Joined<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.provider(blob).stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        self.provider(blob).read(blob, range).await
    }
}
