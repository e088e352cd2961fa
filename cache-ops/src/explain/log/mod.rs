//! [`BuildLog`]: the progress log of a build (`--progress=rawjson`, of buildctl and of buildx).
//!
//! A log is untrusted. Lines that are not progress are counted and skipped, a log may end anywhere, and memory is
//! bounded by [`LogLimits`], whatever its size.

mod line;
mod read;
mod vertex;

use std::time::Duration;

use cache_core::{CacheManifest, Timestamp};

pub use self::read::LogLimits;
pub use self::vertex::{Span, StepOutcome, Vertex};

/// A build, as read from its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildLog {
    /// The vertices, in the order in which the log first names them. Inputs are places in this list.
    pub vertices: Vec<Vertex>,
    /// How many lines held no progress: the daemon's warnings, half a line at the end.
    pub other_lines: usize,
    /// Whether the log broke off within a line.
    pub is_cut: bool,
    /// Lines of the client about a cache it did not import; at most ten.
    pub import_warnings: Vec<String>,
}

impl BuildLog {
    /// When the first vertex started.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.spans().map(|span| span.start).min()
    }

    /// When the last vertex ended.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        self.spans().map(|span| span.end).max()
    }

    /// From the first start to the last end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ended().zip(self.started()).map_or(Duration::ZERO, |(end, start)| end.since(start))
    }

    /// Whether a cache has results that were made while the build ran, so that the build wrote it.
    #[must_use]
    pub fn made(&self, cache: &CacheManifest) -> bool {
        let Some(started) = self.started() else { return false };
        let results = cache.config().records.iter().flat_map(|record| &record.results);
        results.map(|result| result.created_at).any(|at| at > started)
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.vertices.iter().flat_map(|vertex| &vertex.spans)
    }
}
