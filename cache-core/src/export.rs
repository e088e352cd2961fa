//! The one export loop: every blob first, a bounded number at a time, then the manifest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::blob::{BlobInfo, BlobStream, verify};
use crate::{
    BlobProvider, CacheExporter, CacheManifest, Committed, Descriptor, Event, Expect, Progress, Pushed, Result,
    RetryPolicy, Side, Silent,
};

/// How an export is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportSettings {
    /// How many blobs are pushed at once.
    pub concurrency: usize,
    /// What the place has to hold.
    pub expect: Expect,
    /// How often a push is tried again whose error says that it may help; both sides' errors count.
    pub retry: RetryPolicy,
    /// Who is told what happens.
    pub progress: Arc<dyn Progress>,
}

impl Default for ExportSettings {
    /// 4 blobs at once, whatever the place holds, the default retries, silently.
    fn default() -> Self {
        Self { concurrency: 4, expect: Expect::Any, retry: RetryPolicy::default(), progress: Arc::new(Silent) }
    }
}

impl ExportSettings {
    /// Changes how many blobs are pushed at once; at least one.
    #[must_use]
    pub fn with_concurrency(self, concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), ..self }
    }

    /// Commits only if the place holds what `expect` says.
    #[must_use]
    pub fn with_expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// Changes how often a push is tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Tells `progress` what happens.
    #[must_use]
    pub fn with_progress(self, progress: Arc<dyn Progress>) -> Self {
        Self { progress, ..self }
    }
}

impl std::fmt::Debug for ExportSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportSettings")
            .field("concurrency", &self.concurrency)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// How many blobs came to be present, by which means.
    pub pushed: BTreeMap<&'static str, usize>,
    /// Bytes that were read from the source; those of present blobs are not.
    pub bytes: u64,
    /// What the commit did.
    pub committed: Committed,
}

impl ExportReport {
    /// How many blobs came to be present by `means`.
    #[must_use]
    pub fn count(&self, means: Pushed) -> usize {
        self.pushed.get(means.name()).copied().unwrap_or(0)
    }
}

impl Pushed {
    /// The means' name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Present => "present",
            Self::Refreshed => "refreshed",
            Self::Mounted => "mounted",
            Self::Unneeded => "unneeded",
        }
    }
}

/// Writes a cache: pushes every blob of the manifest from `blobs`, then commits the manifest.
///
/// Bytes are verified against their descriptors on the way; a blob with wrong bytes fails the export, and nothing is
/// committed. Whatever fails, the cache that was there before stays. A push that may succeed later is tried again, and
/// so is the whole, twice, when a blob has gone from the store by the time of the commit.
///
/// # Errors
/// The first error of a push, or that of the commit.
pub async fn export(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    to: &dyn CacheExporter,
    settings: &ExportSettings,
) -> Result<ExportReport> {
    let progress = &settings.progress;
    progress.event(&Event::Started { blobs: manifest.blobs().len(), bytes: manifest.unique_bytes() });
    to.prepare(manifest, progress);
    let source = Verified { inner: blobs, progress: Arc::clone(progress), bytes: Arc::default() };
    let rounds = settings.retry.with_attempts(settings.retry.attempts.min(ROUNDS));
    let round = || push_and_commit(manifest, &source, to, settings);
    let (pushed, committed) = rounds.run(progress.as_ref(), round).await?;
    progress.event(&Event::Committed { committed: &committed });
    Ok(ExportReport { pushed, bytes: source.bytes.load(Ordering::Relaxed), committed })
}

/// How often an export starts again when a blob is gone by the time of the commit.
const ROUNDS: u32 = 3;

async fn push_and_commit(
    manifest: &CacheManifest,
    source: &Verified<'_>,
    to: &dyn CacheExporter,
    settings: &ExportSettings,
) -> Result<(BTreeMap<&'static str, usize>, Committed)> {
    let pushes: Vec<BoxFuture<'_, Result<Pushed>>> =
        manifest.blobs().iter().map(|blob| push(blob, source, to, settings.retry).boxed()).collect();
    let mut pushed: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut results = stream::iter(pushes).buffer_unordered(settings.concurrency.max(1));
    while let Some(means) = results.try_next().await? {
        *pushed.entry(means.name()).or_default() += 1;
    }
    drop(results);
    source.progress.event(&Event::Committing);
    let committed = to.commit(manifest, settings.expect.clone()).await.map_err(|error| error.on(Side::Destination))?;
    Ok((pushed, committed))
}

async fn push(blob: &Descriptor, source: &Verified<'_>, to: &dyn CacheExporter, retry: RetryPolicy) -> Result<Pushed> {
    source.progress.event(&Event::BlobStarted { blob });
    let once =
        || async { to.push(blob, source).await.map_err(|error| error.on(Side::Destination).with("blob", blob.digest)) };
    // A push that was tried often enough is not tried again in the next round.
    let pushed = retry.run(source.progress.as_ref(), once).await.map_err(|error| error.with_retryable(false))?;
    source.progress.event(&Event::BlobDone { blob, pushed });
    Ok(pushed)
}

/// Verifies whole blobs as they are read, and counts.
struct Verified<'a> {
    inner: &'a dyn BlobProvider,
    progress: Arc<dyn Progress>,
    bytes: Arc<AtomicU64>,
}

#[async_trait]
impl BlobProvider for Verified<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await.map_err(|error| error.on(Side::Source))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let is_whole = range.is_none();
        let stream = self.inner.read(blob, range).await.map_err(|error| error.on(Side::Source))?;
        let stream = if is_whole { verify(blob.clone(), stream) } else { stream };
        let (progress, total, blob) = (Arc::clone(&self.progress), Arc::clone(&self.bytes), blob.digest);
        let counted = stream.inspect_ok(move |piece| {
            let bytes = piece.len() as u64;
            total.fetch_add(bytes, Ordering::Relaxed);
            progress.event(&Event::BlobBytes { blob, bytes });
        });
        Ok(Box::pin(counted.map_err(|error| error.on(Side::Source))))
    }
}
