//! [`Logins`]: adds and removes logins, as `docker login` and `docker logout` do.

use std::path::{Path, PathBuf};

use cache_core::{ErrorKind, Result};
use reqwest::{Method, StatusCode};

use crate::Credential;
use crate::auth::{Keeper, Login, Scopes, find};
use crate::client::{Client, Request};
use crate::config::{Environment, RegistryConfig};
use crate::error;
use crate::reference::Reference;

const REFUSED: &str = "cannot log in to the registry";

/// Logins to registries, in the first file of an [`Environment`], or in the credential helper that this file names
/// (`credHelpers`, `credsStore`). Docker, Podman and BuildKit's clients find them there.
///
/// ```no_run
/// use cache_registry::{Environment, Logins};
///
/// # async fn log_in(token: &str) -> cache_core::Result<()> {
/// let logins = Logins::new(Environment::from_env());
/// let kept = logins.keep("ghcr.io", "me", token).await?;
/// println!("kept in {}", kept.file.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Logins {
    environment: Environment,
    is_insecure: bool,
}

/// A stored login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptLogin {
    /// The registry, as references name it.
    pub registry: String,
    /// The file with the login, or with the name of the helper that has it.
    pub file: PathBuf,
    /// The helper that has the password; if `None`, the password is in the file, unencrypted.
    pub helper: Option<String>,
    /// Whether the registry has asked for the login and accepted it; a public registry does not ask.
    pub is_checked: bool,
    /// Another login for the registry, which takes precedence.
    pub hidden_by: Option<String>,
}

/// A removed login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForgottenLogin {
    /// The registry, as references name it.
    pub registry: String,
    /// The file that had the login, or has the name of the helper that had it.
    pub file: PathBuf,
    /// Whether there was one.
    pub was_there: bool,
    /// Another login for the registry, which is used now.
    pub left: Option<String>,
}

impl Logins {
    /// The logins of this environment.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment, is_insecure: false }
    }

    /// Accepts any certificate, and plain HTTP if there is no HTTPS.
    #[must_use]
    pub fn with_insecure(self, is_insecure: bool) -> Self {
        Self { is_insecure, ..self }
    }

    /// Tries the login at the registry, and stores it; a login that the registry refuses is not stored.
    ///
    /// The file is replaced atomically, only its owner can read it, and its other content is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the registry refuses the login or a helper does not store it,
    /// [`ErrorKind::InvalidSpec`] if it is not a registry or the name has a colon, and the errors of a registry that does
    /// not answer.
    pub async fn keep(&self, registry: &str, username: &str, password: &str) -> Result<KeptLogin> {
        let reference = Reference::of_registry(registry)?;
        if username.is_empty() || username.contains([':', '\n']) || password.is_empty() {
            return Err(error::new(ErrorKind::InvalidSpec, "a login has a name without a colon, and a password"));
        }
        let file = self.file()?;
        let credential = Credential::password(username, password);
        let is_checked = self.check(&reference, &credential).await?;
        let keeper = Keeper { file, reference: &reference };
        let helper = keeper.keep(username, password).await?;
        let found = self.found(&reference).await;
        let hidden_by = found.filter(|login| login.credential != credential).and_then(|login| login.place());
        Ok(KeptLogin {
            registry: reference.registry().to_owned(),
            file: file.to_owned(),
            helper,
            is_checked,
            hidden_by,
        })
    }

    /// Removes the login, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if it is not a registry, and the errors of files and helpers.
    pub async fn forget(&self, registry: &str) -> Result<ForgottenLogin> {
        let reference = Reference::of_registry(registry)?;
        let file = self.file()?;
        let was_there = Keeper { file, reference: &reference }.forget().await?;
        let left = self.found(&reference).await.and_then(|login| login.place());
        Ok(ForgottenLogin { registry: reference.registry().to_owned(), file: file.to_owned(), was_there, left })
    }

    fn file(&self) -> Result<&Path> {
        let file = self.environment.login_file();
        file.ok_or_else(|| {
            error::new(ErrorKind::InvalidSpec, "there is no file for logins").with_hint("set DOCKER_CONFIG or HOME")
        })
    }

    /// The login that a copy would use now.
    async fn found(&self, reference: &Reference) -> Option<Login> {
        find(self.environment.auth_sources(), reference).await.ok()
    }

    /// Whether the registry asks for a login, and takes this one.
    async fn check(&self, reference: &Reference, credential: &Credential) -> Result<bool> {
        let environment = self.environment.clone().with_credential(credential.clone());
        let config = RegistryConfig::of(reference.clone(), environment).with_insecure(self.is_insecure);
        let client = Client::new(config);
        let ask = || async {
            let response =
                client.send(Request::new(Method::GET, client.base().await?, &Scopes::none(), REFUSED)).await?;
            match response.status() {
                status if status.is_success() => Ok(client.was_asked()),
                StatusCode::NOT_FOUND => Err(error::new(ErrorKind::Unsupported, "there is no registry at this host")),
                _ => Err(client.refused(response, REFUSED).await),
            }
        };
        client.retrying(ask).await
    }
}
