//! The backends that this program was built with. Only this file knows the features.

use std::path::Path;

use cache_kit::{Listener, Uploads};
use cache_ops::Backends;

use crate::logins::Logins;
#[cfg(feature = "registry")]
use crate::logins::{ForgottenLogin, KeptLogin};

/// One line per backend, behind its feature. `uploads` counts the uploads that should finish before the program ends,
/// `listener` receives the events of retries, and `authfile` is searched first for logins to registries.
pub(crate) fn backends(uploads: &Uploads, listener: Listener, authfile: Option<&Path>) -> Backends {
    let backends = Backends::new();
    #[cfg(feature = "azblob")]
    let backends = backends.with(azblob(&listener));
    #[cfg(feature = "gha")]
    let backends = backends.with(gha(uploads, &listener));
    #[cfg(feature = "inline")]
    let backends = backends.with(inline(&listener, authfile));
    #[cfg(feature = "local")]
    let backends = backends.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let backends = backends.with(registry(&listener, authfile));
    #[cfg(feature = "s3")]
    let backends = backends.with(s3(&listener));
    // A build without network backends does not use them.
    drop((uploads, listener, authfile));
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

/// One line per backend that keeps images, in the order in which they are asked whether a name is theirs. The name of
/// an existing directory is taken for a directory and not for a reference.
#[cfg(feature = "inline")]
#[cfg_attr(not(feature = "registry"), expect(unused_variables, reason = "a directory is never tried again"))]
fn inline(listener: &Listener, authfile: Option<&Path>) -> cache_inline::Inline {
    let inline = cache_inline::Inline::new();
    #[cfg(feature = "local")]
    let inline = inline.with(cache_local::Local);
    #[cfg(feature = "registry")]
    let inline = inline.with(registry(listener, authfile));
    inline
}

#[cfg(feature = "registry")]
fn registry(listener: &Listener, authfile: Option<&Path>) -> cache_registry::Registry {
    cache_registry::Registry::new(registry_environment(authfile).with_listener(listener.clone()))
}

#[cfg(feature = "registry")]
fn registry_environment(authfile: Option<&Path>) -> cache_registry::Environment {
    let environment = cache_registry::Environment::from_env();
    match authfile {
        Some(file) => environment.with_first_auth_file(file),
        None => environment,
    }
}

/// Logins to registries; `None` in a build without the registry backend.
pub(crate) fn logins(authfile: Option<&Path>, is_insecure: bool) -> Option<Box<dyn Logins>> {
    #[cfg(feature = "registry")]
    return Some(Box::new(cache_registry::Logins::new(registry_environment(authfile)).with_insecure(is_insecure)));
    #[cfg(not(feature = "registry"))]
    {
        let _ = (authfile, is_insecure);
        None
    }
}

#[cfg(feature = "registry")]
#[async_trait::async_trait]
impl Logins for cache_registry::Logins {
    async fn keep(&self, registry: &str, username: &str, password: &str) -> cache_core::Result<KeptLogin> {
        let kept = cache_registry::Logins::keep(self, registry, username, password).await?;
        Ok(KeptLogin {
            registry: kept.registry,
            file: kept.file,
            helper: kept.helper,
            is_checked: kept.is_checked,
            hidden_by: kept.hidden_by,
        })
    }

    async fn forget(&self, registry: &str) -> cache_core::Result<ForgottenLogin> {
        let forgotten = cache_registry::Logins::forget(self, registry).await?;
        let cache_registry::ForgottenLogin { registry, file, was_there, left, .. } = forgotten;
        Ok(ForgottenLogin { registry, file, was_there, left })
    }
}
