//! One cache into one place.

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Descriptor, Digest, ErrorKind,
    ExportReport, ExportSettings, Mode, Resolved, Result, Side, export,
};

/// How a copy changes what it copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Which results to keep; all of them when absent.
    pub mode: Option<Mode>,
    /// Whether results whose blobs the source has lost are left out instead of failing the copy.
    pub skip_missing: bool,
}

impl CopyOptions {
    /// Keeps the results that `mode` exports.
    #[must_use]
    pub fn with_mode(self, mode: Option<Mode>) -> Self {
        Self { mode, ..self }
    }

    /// Leaves out results whose blobs the source has lost.
    #[must_use]
    pub fn with_skip_missing(self, skip_missing: bool) -> Self {
        Self { skip_missing, ..self }
    }
}

/// What a copy did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyReport {
    /// The cache that was written.
    pub manifest: CacheManifest,
    /// The blobs that the source has lost and the copy did without.
    pub skipped: Vec<Digest>,
    /// What the export did.
    pub export: ExportReport,
}

/// Copies a cache; `None` when the source has none.
///
/// The manifest keeps its bytes when nothing about it changes. Blobs go first, the manifest last: a copy that fails
/// leaves the destination's cache as it was.
///
/// # Errors
/// The side that failed is in the error.
pub async fn copy(
    from: &dyn CacheImporter,
    to: &dyn CacheExporter,
    options: CopyOptions,
    settings: &ExportSettings,
) -> Result<Option<CopyReport>> {
    match from.resolve().await.map_err(|error| error.on(Side::Source))? {
        Some(Resolved { manifest, .. }) => copy_manifest(manifest, from, to, options, settings).await.map(Some),
        None => Ok(None),
    }
}

/// Copies a cache that is already resolved; for several destinations of one source.
///
/// # Errors
/// The side that failed is in the error.
pub async fn copy_manifest(
    manifest: CacheManifest,
    blobs: &dyn BlobProvider,
    to: &dyn CacheExporter,
    options: CopyOptions,
    settings: &ExportSettings,
) -> Result<CopyReport> {
    let skipped =
        if options.skip_missing { missing_blobs(&manifest, blobs, settings.concurrency).await? } else { Vec::new() };
    let manifest = reduce(manifest, &skipped, options.mode).await.map_err(|error| error.on(Side::Source))?;
    let export = export(&manifest, blobs, to, settings).await.map_err(|error| {
        let is_lost = error.side() == Some(Side::Source) && error.kind() == ErrorKind::NotFound;
        if is_lost { error.with_hint("copy with --skip-missing to do without the results that need it") } else { error }
    })?;
    Ok(CopyReport { manifest, skipped, export })
}

/// What is left of a manifest; the very same one when there is nothing to leave out.
async fn reduce(manifest: CacheManifest, lost: &[Digest], mode: Option<Mode>) -> Result<CacheManifest> {
    let keeps_all = matches!(mode, None | Some(Mode::Max));
    if keeps_all && lost.is_empty() {
        return Ok(manifest);
    }
    let mut chains = CacheChains::from_manifest(&manifest)?;
    chains.drop_results_needing(&lost.iter().copied().collect());
    if let Some(mode) = mode {
        chains.select(mode).await?;
    }
    Ok(chains.to_manifest().with_form(manifest.form()))
}

async fn missing_blobs(manifest: &CacheManifest, blobs: &dyn BlobProvider, concurrency: usize) -> Result<Vec<Digest>> {
    let looks: Vec<BoxFuture<'_, _>> = manifest.blobs().iter().map(|blob| look(blob, blobs).boxed()).collect();
    let looked: Vec<Option<Digest>> = stream::iter(looks).buffered(concurrency.max(1)).try_collect().await?;
    Ok(looked.into_iter().flatten().collect())
}

async fn look(blob: &Descriptor, blobs: &dyn BlobProvider) -> Result<Option<Digest>> {
    let found = blobs.stat(blob).await.map_err(|error| error.on(Side::Source))?;
    Ok(found.is_none().then_some(blob.digest))
}
