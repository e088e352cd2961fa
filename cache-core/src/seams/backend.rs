//! The backends that a program has.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::seams::{BackendFacts, CacheExporter, CacheImporter, CacheProbe, CacheStore};
use crate::spec::{CacheSpec, nearest};

/// Opens importers, exporters and stores for the specs of one type.
///
/// ```
/// use cache_core::{Backends, CacheSpec};
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let backends = Backends::new().with(MemoryCache::new());
/// let spec: CacheSpec = "type=memory,name=main".parse()?;
/// let importer = backends.find(&spec)?.importer(&spec).await?;
/// assert!(importer.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheBackend: Send + Sync + 'static {
    /// The properties of this backend.
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

    /// Opens an importer and an exporter of one place, for [`publish`](https://docs.rs/cache-ops) and conditional commits.
    /// The importer sees only the cache that the exporter replaces; `importer` alone may see more (the other scopes of
    /// gha).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher>;

    /// Opens the store that the place is in; `None` if this backend has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>>;

    /// Opens a probe of the place, for the spec of an export; `None` if this backend has no probe.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>>;
}

/// The importer and the exporter of one place, as [`CacheBackend::publisher`] opens them.
#[non_exhaustive]
pub struct Publisher {
    /// Reads the cache that the exporter replaces, and no other.
    pub importer: Box<dyn CacheImporter>,
    /// Writes the cache.
    pub exporter: Box<dyn CacheExporter>,
}

impl Publisher {
    /// Joins the two sides.
    #[must_use]
    pub fn new(importer: Box<dyn CacheImporter>, exporter: Box<dyn CacheExporter>) -> Self {
        Self { importer, exporter }
    }
}

/// The backends a program was built with.
///
/// ```
/// use cache_core::{Backends, CacheSpec};
/// use cache_memory::MemoryCache;
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

    /// The types of the backends, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The properties of each backend, sorted by type.
    pub fn facts(&self) -> impl Iterator<Item = BackendFacts> {
        self.0.values().map(|backend| backend.facts())
    }

    /// The backend for a spec.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] that lists the types that are built in.
    pub fn find(&self, spec: &CacheSpec) -> Result<&dyn CacheBackend> {
        self.0.get(spec.kind()).map(Box::as_ref).ok_or_else(|| {
            let built_in: Vec<&str> = self.kinds().collect();
            let error = Error::new(ErrorKind::InvalidSpec, "cache type is not built in")
                .with("type", spec.shown_kind())
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
