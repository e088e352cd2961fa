//! Logins to registries, as the verbs see them: whether a build has any is known in `backends`.

use std::path::PathBuf;

use async_trait::async_trait;
use cache_core::Result;

/// Where logins are kept.
#[async_trait]
pub(crate) trait Logins {
    /// Asks the registry whether it takes the login, and keeps it.
    async fn keep(&self, registry: &str, username: &str, password: &str) -> Result<KeptLogin>;

    /// Forgets the login to a registry.
    async fn forget(&self, registry: &str) -> Result<ForgottenLogin>;
}

/// A login that was kept.
pub(crate) struct KeptLogin {
    pub(crate) registry: String,
    pub(crate) file: PathBuf,
    pub(crate) helper: Option<String>,
    pub(crate) is_checked: bool,
    pub(crate) hidden_by: Option<String>,
}

/// A login that was forgotten.
pub(crate) struct ForgottenLogin {
    pub(crate) registry: String,
    pub(crate) file: PathBuf,
    pub(crate) was_there: bool,
    pub(crate) left: Option<String>,
}
