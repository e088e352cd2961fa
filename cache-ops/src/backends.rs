//! The backends that a program has.

use std::collections::BTreeMap;
use std::fmt;

use cache_core::seams::BackendFacts;
use cache_core::spec::nearest;
use cache_core::{CacheBackend, CacheSpec, Error, ErrorKind, Result};

/// The backends a program was built with.
///
/// ```
/// use cache_core::CacheSpec;
/// use cache_memory::MemoryCache;
/// use cache_ops::Backends;
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
            match hint(spec.kind(), &built_in) {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }
}

/// What to write in place of a type that is not built in.
fn hint(kind: &str, built_in: &[&str]) -> Option<String> {
    if kind.contains(|c: char| c.is_whitespace() || c == ';') {
        return Some("commas divide the attributes: type=TYPE,NAME=VALUE".to_owned());
    }
    nearest(&kind.to_lowercase(), built_in).map(|kind| format!("did you mean type={kind}?"))
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}
