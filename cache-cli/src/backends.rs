//! The backends that this program was built with: the one place that knows the features.

use cache_core::Backends;
use cache_core::kit::Uploads;

/// One line per backend, behind its feature. `uploads` are those that should come to their end before the program does.
pub(crate) fn backends(uploads: &Uploads) -> Backends {
    let backends = Backends::new();
    #[cfg(not(feature = "gha"))]
    let _ = uploads;
    #[cfg(feature = "azblob")]
    let backends = backends.with(cache_azblob::Azblob::new(cache_azblob::Environment::from_env()));
    #[cfg(feature = "gha")]
    let backends = backends.with(cache_gha::Gha::new(cache_gha::Environment::from_env().with_uploads(uploads.clone())));
    #[cfg(feature = "inline")]
    let backends = backends.with(inline());
    #[cfg(feature = "local")]
    let backends = backends.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let backends = backends.with(registry());
    #[cfg(feature = "s3")]
    let backends = backends.with(cache_s3::S3::new(cache_s3::Environment::from_env()));
    backends
}

/// One line per backend that keeps images, in the order in which they are asked whether a name is theirs: a directory
/// that is there is no reference.
#[cfg(feature = "inline")]
fn inline() -> cache_inline::Inline {
    let inline = cache_inline::Inline::new();
    #[cfg(feature = "local")]
    let inline = inline.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let inline = inline.with(registry());
    inline
}

#[cfg(feature = "registry")]
fn registry() -> cache_registry::Registry {
    cache_registry::Registry::new(cache_registry::Environment::from_env())
}
