//! Copies a cache to one or more places.

use std::collections::BTreeMap;

use cache_core::seams::stat_blob;
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Descriptor, Digest, Error, ErrorKind, Mode,
    Resolved, Result, Side,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::export::{Conversion, ExportReport, ExportSettings, Place, export_all};

/// How a copy transforms the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Which results to keep; all of them if `None`.
    pub(crate) mode: Option<Mode>,
    /// Whether to drop results whose blobs the source no longer has, instead of failing.
    pub(crate) skip_missing: bool,
    /// How layers are recompressed; they are copied as they are if `None`, or if the compression is not forced.
    pub(crate) conversion: Option<Conversion>,
}

impl CopyOptions {
    /// Keeps the results that `mode` exports.
    #[must_use]
    pub fn with_mode(self, mode: Option<Mode>) -> Self {
        Self { mode, ..self }
    }

    /// Drops results whose blobs the source no longer has.
    #[must_use]
    pub fn with_skip_missing(self, skip_missing: bool) -> Self {
        Self { skip_missing, ..self }
    }

    /// Converts layers.
    #[must_use]
    pub fn with_conversion(self, conversion: Option<Conversion>) -> Self {
        Self { conversion, ..self }
    }

    fn converts(&self) -> bool {
        self.conversion.as_ref().is_some_and(Conversion::is_forced)
    }
}

/// The outcome of a copy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyReport {
    /// The cache that was written.
    pub manifest: CacheManifest,
    /// The blobs that the source has lost; the results that need them are not in the copy.
    pub skipped: Vec<Digest>,
    /// The layers that were converted, each with its new descriptor.
    pub converted: BTreeMap<Digest, Digest>,
    /// The report of the export.
    pub export: ExportReport,
}

/// Copies a cache; `None` when the source has none.
///
/// The manifest keeps its bytes when nothing about it changes. Blobs go first, the manifest last: a copy that fails
/// leaves the destination's cache as it was.
///
/// # Errors
/// The error has the side that failed.
///
/// ```
/// use cache_memory::MemoryCache;
/// use cache_ops::{CopyOptions, ExportSettings, copy};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (from, to) = (MemoryCache::new(), MemoryCache::new());
/// let copied = copy(&from, &to, CopyOptions::default(), &ExportSettings::default()).await?;
/// assert!(copied.is_none(), "there is no cache yet");
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
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

/// Copies a cache that is already resolved.
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
    let destination = Destination::new(to).with_options(options).with_settings(settings.clone());
    let mut reports = copy_many(&manifest, blobs, std::slice::from_ref(&destination)).await;
    reports.pop().unwrap_or_else(|| Err(not_run()))
}

/// One of the places that a cache is copied to.
#[derive(Clone)]
#[non_exhaustive]
pub struct Destination<'a> {
    /// The place.
    pub(crate) to: &'a dyn CacheExporter,
    /// How the cache is transformed.
    pub(crate) options: CopyOptions,
    /// How the export runs.
    pub(crate) settings: ExportSettings,
}

impl<'a> Destination<'a> {
    /// Copies the cache as it is, with the default settings.
    #[must_use]
    pub fn new(to: &'a dyn CacheExporter) -> Self {
        Self { to, options: CopyOptions::default(), settings: ExportSettings::default() }
    }

    /// Sets how the cache is transformed.
    #[must_use]
    pub fn with_options(self, options: CopyOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets how the export runs.
    #[must_use]
    pub fn with_settings(self, settings: ExportSettings) -> Self {
        Self { settings, ..self }
    }
}

impl std::fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination")
            .field("options", &self.options)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Copies a resolved cache to several places at once and returns their outcomes, in order.
///
/// A blob is read and verified once for all places that need it, at the pace of the slowest; a place that accepts
/// nothing for two minutes then reads on its own. A failure affects only its own destination; the error names the side
/// that failed. The number of blobs in flight is the largest `concurrency` of the settings.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, Digest, Mode};
/// use cache_memory::MemoryCache;
/// use cache_ops::{CopyOptions, Destination, copy_many};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (from, one, two) = (MemoryCache::new(), MemoryCache::new(), MemoryCache::new());
/// let mut graph = CacheChains::new();
/// graph.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
///
/// let smaller = CopyOptions::default().with_mode(Some(Mode::Min));
/// let destinations = [Destination::new(&one), Destination::new(&two).with_options(smaller)];
/// for copied in copy_many(&graph.to_manifest(), &from, &destinations).await {
///     copied?;
/// }
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn copy_many(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    destinations: &[Destination<'_>],
) -> Vec<Result<CopyReport>> {
    let lost = lost_blobs(manifest, blobs, destinations).await;
    let mut plans = Vec::with_capacity(destinations.len());
    for destination in destinations {
        plans.push(plan(manifest, &lost, &destination.options).await.map_err(|error| error.on(Side::Source)));
    }
    let planned =
        plans.iter().zip(destinations).filter_map(|(plan, destination)| Some((plan.as_ref().ok()?, destination)));
    let places = planned.map(|((manifest, _), Destination { to, options, settings })| {
        Place::new(manifest, *to, settings).with_conversion(options.conversion.as_ref())
    });
    let places: Vec<Place<'_>> = places.collect();
    let exported = export_all(&places, blobs).await;
    let converted: Vec<_> = places.iter().map(|place| (place.written(), place.replaced())).collect();
    let mut outcomes = exported.into_iter().zip(converted);
    let report = |plan: Result<(CacheManifest, Vec<Digest>)>| {
        let (manifest, skipped) = plan?;
        let (export, (other, converted)) =
            outcomes.next().unwrap_or_else(|| (Err(not_run()), (Ok(None), BTreeMap::new())));
        let export = export.map_err(explain_lost)?;
        Ok(CopyReport { manifest: other?.unwrap_or(manifest), skipped, converted, export })
    };
    plans.into_iter().map(report).collect()
}

fn not_run() -> Error {
    Error::new(ErrorKind::Unavailable, "the copy did not run")
}

/// What is written to a destination, and the lost blobs that are left out.
async fn plan(
    manifest: &CacheManifest,
    lost: &Result<Vec<Digest>>,
    options: &CopyOptions,
) -> Result<(CacheManifest, Vec<Digest>)> {
    let skipped = if options.skip_missing { lost.clone()? } else { Vec::new() };
    let reduced = reduce(manifest.clone(), &skipped, options.mode).await?;
    if options.converts() {
        // Layers are replaced in the graph at the end. So an invalid graph is an error before anything is converted.
        CacheChains::from_manifest(&reduced)?;
    }
    Ok((reduced, skipped))
}

fn explain_lost(error: Error) -> Error {
    let is_lost = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Archived);
    let is_lost = is_lost && error.side() == Some(Side::Source);
    if is_lost { error.with_hint("copy with --skip-missing to leave out the results that need it") } else { error }
}

/// The manifest without lost blobs; the same one when none is lost.
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

/// The blobs that the source has lost or archived; none are looked for when no destination can do without them.
async fn lost_blobs(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    destinations: &[Destination<'_>],
) -> Result<Vec<Digest>> {
    let skipping = destinations.iter().filter(|destination| destination.options.skip_missing);
    let Some(at_once) = skipping.map(|destination| destination.settings.concurrency.most()).max() else {
        return Ok(Vec::new());
    };
    let looks: Vec<BoxFuture<'_, _>> = manifest.blobs().iter().map(|blob| look(blob, blobs).boxed()).collect();
    let looked: Vec<Option<Digest>> = stream::iter(looks).buffered(at_once).try_collect().await?;
    Ok(looked.into_iter().flatten().collect())
}

async fn look(blob: &Descriptor, blobs: &dyn BlobProvider) -> Result<Option<Digest>> {
    let found = stat_blob(blobs, blob).await.map_err(|error| error.on(Side::Source))?;
    Ok(found.is_none_or(|info| info.is_archived).then_some(blob.digest))
}
