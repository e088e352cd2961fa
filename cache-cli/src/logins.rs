//! Logins to registries, as the verbs see them. `backends` implements them, if the build has the registry backend.

use std::path::PathBuf;

use async_trait::async_trait;
use cache_core::Result;

/// Where logins are kept.
#[async_trait]
pub(crate) trait Logins {
    /// Checks the login with the registry, and stores it.
    async fn keep(&self, registry: &str, username: &str, password: &str) -> Result<KeptLogin>;

    /// Removes the login to a registry.
    async fn forget(&self, registry: &str) -> Result<ForgottenLogin>;
}

/// A login that was stored.
pub(crate) struct KeptLogin {
    pub(crate) registry: String,
    pub(crate) file: PathBuf,
    pub(crate) helper: Option<String>,
    pub(crate) is_checked: bool,
    pub(crate) hidden_by: Option<String>,
}

/// A login that was removed.
pub(crate) struct ForgottenLogin {
    pub(crate) registry: String,
    pub(crate) file: PathBuf,
    pub(crate) was_there: bool,
    pub(crate) left: Option<String>,
}
