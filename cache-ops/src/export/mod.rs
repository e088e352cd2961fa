//! The one export loop: every blob first, a bounded number at a time, then the manifest.

mod convert;
mod gate;
mod place;
mod plan;
mod report;
mod settings;
mod share;
mod source;
mod spool;
mod tee;
mod transfers;
mod turn;

use cache_core::{BlobProvider, CacheExporter, CacheManifest, Error, ErrorKind, Result};
use cache_layers::CodecPool;
use futures_util::future::{BoxFuture, FutureExt, join, join_all};
use futures_util::stream::{self, StreamExt};

pub use self::convert::Conversion;
pub(crate) use self::place::Place;
use self::plan::needed_blobs;
pub use self::report::ExportReport;
pub use self::settings::{Concurrency, ExportSettings, Recheck};
use self::source::Verified;
use self::transfers::Transfers;

/// Writes a cache: pushes every blob of the manifest from `blobs`, then commits the manifest.
///
/// Bytes are verified against their descriptors. A blob with wrong bytes fails the export, and nothing is committed.
/// Whatever fails, the previous cache stays. A push with a retryable error is repeated. If a blob was deleted from the
/// store by the time of the commit, the whole export is repeated, up to twice.
///
/// # Errors
/// The first error of a push, or that of the commit.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, Digest};
/// use cache_memory::MemoryCache;
/// use cache_ops::{ExportSettings, export};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (blobs, place) = (MemoryCache::new(), MemoryCache::new());
/// let mut graph = CacheChains::new();
/// graph.add_root(CacheKey::content(Digest::sha256(b"the sources")))?;
/// let settings = ExportSettings::default().with_concurrency(8);
/// let report = export(&graph.to_manifest(), &blobs, &place, &settings).await?;
/// assert_eq!(report.bytes, 0);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn export(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    to: &dyn CacheExporter,
    settings: &ExportSettings,
) -> Result<ExportReport> {
    export_one(Place::new(manifest, to, settings), blobs).await
}

/// Exports to one place.
pub(crate) async fn export_one(place: Place<'_>, blobs: &dyn BlobProvider) -> Result<ExportReport> {
    let mut reports = export_all(std::slice::from_ref(&place), blobs).await;
    reports.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the export did not run")))
}

/// Exports to several places at once, and returns the outcome of each. A blob that several of them need is read once,
/// at the pace of the slowest.
///
/// A failure of one place does not stop the others.
pub(crate) async fn export_all(places: &[Place<'_>], blobs: &dyn BlobProvider) -> Vec<Result<ExportReport>> {
    let source = Verified { inner: blobs, pool: CodecPool::default() };
    let transfers = Transfers::new(places, &source);
    places.iter().for_each(Place::announce);
    let work: Vec<BoxFuture<'_, ()>> =
        needed_blobs(places).into_iter().map(|needed| transfers.send(needed).boxed()).collect();
    let sending = stream::iter(work).buffer_unordered(transfers.width()).for_each(|()| async {});
    let finishing: Vec<BoxFuture<'_, _>> = places.iter().map(|place| place.finish(&source).boxed()).collect();
    let ((), reports) = join(sending, join_all(finishing)).await;
    reports
}
