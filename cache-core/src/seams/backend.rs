//! The backends that a program has.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::seams::{BackendFacts, CacheExporter, CacheImporter, CacheProbe, CacheStore};
use crate::spec::{CacheSpec, nearest};

/// One kind of place: opens readers, writers and stores for the specs of its type.
#[async_trait]
pub trait CacheBackend: Send + Sync + 'static {
    /// What is true of every place of this kind, the `type` of its specs first.
    fn facts(&self) -> BackendFacts;

    /// Opens a cache for reading; nothing is created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>>;

    /// Opens a place for writing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>>;

    /// Opens a place from both sides for [`publish`](https://docs.rs/cache-ops) and conditional commits: the reader sees only what
    /// the writer replaces, where a reader otherwise sees more (the other scopes of gha).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn publisher(&self, spec: &CacheSpec) -> Result<(Box<dyn CacheImporter>, Box<dyn CacheExporter>)>;

    /// Opens the store that the place is in; `None` when this kind of place has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>>;

    /// Opens a probe of the place, for the spec of a cache to export; `None` when this kind of place has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>>;
}

/// The backends a program was built with.
///
/// ```
/// use cache_core::{Backends, CacheSpec, MemoryCache};
///
/// let backends = Backends::new().with(MemoryCache::new());
/// assert!(backends.find(&CacheSpec::new("memory")).is_ok());
/// let error = backends.find(&CacheSpec::new("s3")).err().expect("not built in");
/// assert_eq!(error.to_string(), "cache type is not built in (type=s3, built-in=memory)");
/// ```
#[derive(Default)]
pub struct Backends(BTreeMap<&'static str, Box<dyn CacheBackend>>);

impl Backends {
    /// No backend.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend; a later one of the same kind replaces an earlier one.
    #[must_use]
    pub fn with(mut self, backend: impl CacheBackend) -> Self {
        self.0.insert(backend.facts().kind, Box::new(backend));
        self
    }

    /// The types that specs may name, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// What is true of each kind of place, in order of type.
    pub fn facts(&self) -> impl Iterator<Item = BackendFacts> {
        self.0.values().map(|backend| backend.facts())
    }

    /// The backend for a spec.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] naming the types there are.
    pub fn find(&self, spec: &CacheSpec) -> Result<&dyn CacheBackend> {
        self.0.get(spec.kind()).map(Box::as_ref).ok_or_else(|| {
            let built_in: Vec<&str> = self.kinds().collect();
            let error = Error::new(ErrorKind::InvalidSpec, "cache type is not built in")
                .with("type", spec.kind())
                .with("built-in", built_in.join(" "));
            match nearest(spec.kind(), &built_in) {
                Some(kind) => error.with_hint(format!("did you mean type={kind}?")),
                None => error,
            }
        })
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}
