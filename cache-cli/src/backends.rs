//! The backends that this program was built with: the one place that knows the features.

use cache_core::Backends;
use cache_core::seams::Listener;
use cache_kit::Uploads;

/// One line per backend, behind its feature. `uploads` are those that should come to their end before the program does;
/// `listener` is told of calls that are made again.
pub(crate) fn backends(uploads: &Uploads, listener: Listener) -> Backends {
    let backends = Backends::new();
    #[cfg(feature = "azblob")]
    let backends = backends.with(azblob(&listener));
    #[cfg(feature = "gha")]
    let backends = backends.with(gha(uploads, &listener));
    #[cfg(feature = "inline")]
    let backends = backends.with(inline(&listener));
    #[cfg(feature = "local")]
    let backends = backends.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let backends = backends.with(registry(&listener));
    #[cfg(feature = "s3")]
    let backends = backends.with(s3(&listener));
    // A build without the network has nobody to give them to.
    drop((uploads, listener));
    backends
}

#[cfg(feature = "azblob")]
fn azblob(listener: &Listener) -> cache_azblob::Azblob {
    cache_azblob::Azblob::new(cache_azblob::Environment::from_env().with_listener(listener.clone()))
}

#[cfg(feature = "gha")]
fn gha(uploads: &Uploads, listener: &Listener) -> cache_gha::Gha {
    let environment = cache_gha::Environment::from_env().with_uploads(uploads.clone());
    cache_gha::Gha::new(environment.with_listener(listener.clone()))
}

#[cfg(feature = "s3")]
fn s3(listener: &Listener) -> cache_s3::S3 {
    cache_s3::S3::new(cache_s3::Environment::from_env().with_listener(listener.clone()))
}

/// One line per backend that keeps images, in the order in which they are asked whether a name is theirs: a directory
/// that is there is no reference.
#[cfg(feature = "inline")]
#[cfg_attr(not(feature = "registry"), expect(unused_variables, reason = "a directory is never tried again"))]
fn inline(listener: &Listener) -> cache_inline::Inline {
    let inline = cache_inline::Inline::new();
    #[cfg(feature = "local")]
    let inline = inline.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let inline = inline.with(registry(listener));
    inline
}

#[cfg(feature = "registry")]
fn registry(listener: &Listener) -> cache_registry::Registry {
    cache_registry::Registry::new(cache_registry::Environment::from_env().with_listener(listener.clone()))
}
