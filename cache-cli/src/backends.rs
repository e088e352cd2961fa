//! The backends that this program was built with: the one place that knows the features.

use cache_core::Backends;

/// One line per backend, behind its feature.
pub(crate) fn backends() -> Backends {
    let backends = Backends::new();
    #[cfg(feature = "local")]
    let backends = backends.with(cache_local::Local);
    backends
}
