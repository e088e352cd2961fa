//! `explain`: why steps of a build ran although there was a cache.
//!
//! A build's log tells which steps ran and how long they took; the caches tell which were known. The vertices of the
//! log are joined to records, and the cause of each miss is the first difference: a step whose input missed is only a
//! consequence of that input.

mod build;
mod cache;
mod cause;
mod cost;
mod edit;
mod join;
mod log;
mod records;
mod steps;
mod verdicts;
mod walk;

use std::time::Duration;

use cache_core::{CacheKey, CacheManifest, Digest, Result, Timestamp};

pub use self::cache::{ConsultedCache, Content};
pub use self::cause::{AskedFor, Cause, NotImported, NotStored, Part};
pub use self::log::{BuildLog, LogLimits, Span, StepOutcome, Vertex};

/// The steps of a build, and why they ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The steps, under their stages, in the build's order.
    pub steps: Vec<Step>,
    /// The causes of misses, the most expensive first.
    pub causes: Vec<CauseGroup>,
    /// Where the time went.
    pub times: Times,
    /// Caveats.
    pub notes: Vec<Note>,
    /// Blobs of results that were there and were not used: whether the store still has them decides the cause.
    pub doubted: Vec<Doubted>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Its name in the log; without a log, the description of its layer in the cache.
    pub name: String,
    /// Its stage, with the platform before it if there are several.
    pub stage: Option<String>,
    /// The digest of its vertex.
    pub vertex: Option<Digest>,
    /// How it ended.
    pub outcome: StepOutcome,
    /// How long it was at work.
    pub time: Duration,
    /// When it was at work.
    pub spans: Vec<Span>,
    /// The daemon's error.
    pub error: Option<String>,
    /// Its record in the cache that the build wrote, else in the one it imported.
    pub record: Option<CacheKey>,
    /// The blob of the layer it made or found.
    pub layer: Option<Digest>,
    /// Why it missed; nothing for a hit.
    pub miss: Option<Miss>,
}

/// Why a step missed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Miss {
    /// The first cause.
    pub cause: Cause,
    /// Whether the cause is proven. Otherwise it is the likeliest one.
    pub is_certain: bool,
    /// Further causes, each of which alone would have made it miss.
    pub also: Vec<Cause>,
    /// The place in [`Explanation::causes`] that it is counted under.
    pub group: usize,
    /// Caches that have a result for the step, though it was not used.
    pub elsewhere: Vec<String>,
}

/// A cause and the steps that ran because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CauseGroup {
    /// The cause.
    pub cause: Cause,
    /// Whether it is proven.
    pub is_certain: bool,
    /// The step that it was found at, as a place in [`Explanation::steps`].
    pub first: usize,
    /// The steps that ran because of it after that, in the build's order.
    pub followers: Vec<usize>,
    /// How long all of them took together.
    pub time: Duration,
}

/// Where the time of a build went. Steps can run at the same time: these are sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// When the build began.
    pub started: Option<Timestamp>,
    /// From the first start to the last end.
    pub wall: Duration,
    /// Steps that missed.
    pub missed: Duration,
    /// Fetching and unpacking the results of hits.
    pub hits: Duration,
    /// Everything but steps: the context, imports, exports.
    pub other: Duration,
}

/// A caveat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The log breaks off.
    LogCut,
    /// The build failed.
    BuildFailed(String),
    /// This many steps that ran are in no record.
    NotJoined(usize),
    /// The first cache has results of this build, so it is its export and not its import.
    ImportedIsExported(String),
    /// The exported cache was not given, so causes are guessed from the log.
    NoExport,
    /// No log was given, so there are no names and no times.
    NoLog,
    /// The cache that the build wrote does not hold the results of this build.
    ExportHasNoResults,
    /// A cache has a problem.
    CacheProblem {
        /// The cache.
        cache: String,
        /// The problem.
        why: NotImported,
    },
    /// The client's message about an import.
    Client(String),
}

/// A blob that a cache's result needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Doubted {
    /// The place of the cache among those that were given.
    pub cache: usize,
    /// The blob.
    pub blob: Digest,
}

/// Explains a build from the caches it imported, others to look into, what it exported, and its log.
///
/// Without `exported` the causes are guessed from the log alone; without `log` the records of `exported` are explained,
/// without names and times.
///
/// ```
/// use cache_core::{
///     CacheChains, CacheKey, CacheLink, CacheResult, Descriptor, Digest, MediaType, Timestamp,
/// };
/// use cache_ops::{ConsultedCache, Content, explain};
///
/// let cache = |source: &[u8]| {
///     let mut chains = CacheChains::new();
///     let files = chains.add_root(CacheKey::content(Digest::sha256(source)))?.expect("not a random key");
///     let result = CacheResult::new(Timestamp::ZERO, vec![Descriptor::of(MediaType::OCI_LAYER, source)]);
///     let make = CacheKey::output(Digest::sha256(b"RUN make"), 0);
///     chains.add(make, &[vec![CacheLink::new(files)]], vec![result])?;
///     Ok::<_, cache_core::Error>(chains.to_manifest())
/// };
/// let (imported, exported) = (cache(b"yesterday")?, cache(b"today")?);
/// let consulted = [ConsultedCache::imported("main", Content::Cache(&imported))];
/// let explanation = explain(&consulted, Some(&exported), None)?;
/// assert_eq!(explanation.steps.len(), 1);
/// # Ok::<(), cache_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) for an exported cache that BuildKit does not
/// import, and [`ErrorKind::Unsupported`](cache_core::ErrorKind::Unsupported) when there is neither a log nor an
/// exported cache.
pub fn explain(
    caches: &[ConsultedCache<'_>],
    exported: Option<&CacheManifest>,
    log: Option<&BuildLog>,
) -> Result<Explanation> {
    verdicts::explain(caches, exported, log)
}
