//! The properties of backends and exporters, so that programs need no table of types.

use std::time::Duration;

use crate::spec::Attribute;

/// The properties of a backend.
///
/// ```
/// use std::time::Duration;
///
/// use cache_core::CacheBackend;
/// use cache_memory::MemoryCache;
///
/// let facts = MemoryCache::new().facts();
/// assert_eq!((facts.kind, facts.grace), ("memory", Duration::from_secs(3600)));
/// assert!(facts.is_conditional && !facts.is_image);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendFacts {
    /// The `type` of its specs.
    pub kind: &'static str,
    /// The attributes that its specs take, without those that every destination has (`ExportOptions` of `cache-ops`).
    pub attributes: &'static [Attribute],
    /// What in a spec names one cache of a store; `None` for a place without a store.
    pub naming: Option<Naming>,
    /// The attributes that name a directory on this machine; a spec has one of them.
    pub paths: &'static [&'static str],
    /// The default grace of a prune: how long an unreferenced blob stays, since a running export may need it.
    pub grace: Duration,
    /// The largest config and manifest, in bytes, that BuildKit imports from there; `None` for no limit.
    pub import_limit: Option<u64>,
    /// Whether a conditional commit is atomic: of two writers that expect the same state, one gets a conflict. Elsewhere
    /// the exporter reads before and after it writes, and can miss a writer that commits in the same moment.
    pub is_conditional: bool,
    /// Whether a place is an image that exists already: it takes records about its own layers, and no layers.
    pub is_image: bool,
}

/// The attribute that names one cache of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// An attribute, whose default is `buildkit`.
    Attribute(&'static str),
    /// An attribute, whose default is `buildkit`; a store lists the names of each branch, as `name@refs/heads/main`.
    AttributeOnBranch(&'static str),
    /// An attribute, and `digest`, which takes precedence.
    AttributeOrDigest(&'static str),
    /// The tag and the digest in `ref`.
    Reference,
}

impl BackendFacts {
    /// Facts of a kind of place without a store, with conditional commits, no limit, and a grace of one hour.
    #[must_use]
    pub const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            attributes: &[],
            naming: None,
            paths: &[],
            grace: Duration::from_secs(3600),
            import_limit: None,
            is_conditional: true,
            is_image: false,
        }
    }
}

/// The properties of an exporter. By default it looks at its blobs before it commits, and ends a push with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExporterFacts {
    /// Whether `commit` looks at no blob, so that one that was present can be gone by then.
    ///
    /// `export` (in the crate `cache-ops`) then pushes such blobs again after the commit, when the manifest keeps them.
    /// That suits a store where a push of a present blob is its cheapest look. An exporter that can look at many blobs
    /// at once, or whose store does, looks at the end of `commit` instead and fails with a retryable error.
    pub needs_recheck: bool,
    /// Whether `push` still waits for local I/O after it has read its stream to the end and dropped it. `export` then
    /// reads the next blob meanwhile, and as many pushes settle at once as there are blobs being read.
    pub settles_apart: bool,
}
