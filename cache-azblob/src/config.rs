//! [`AzblobConfig`]: the cache and the credential; [`Environment`]: settings outside of specs.

use std::collections::BTreeMap;
use std::env;
use std::fmt;

use cache_core::model::Limits;
use cache_core::spec::shown_place;
use cache_core::{CacheSpec, Error, ErrorKind, Result};
use cache_kit::{Listener, PartLimits, ReadAhead, Secret, SecretSource, Tuning, read_secret};

use crate::account::{Account, AccountKey};
use crate::{KIND, Keys};

const ACCOUNT_URL: &str = "BUILDKIT_AZURE_STORAGE_ACCOUNT_URL";
const ACCOUNT_NAME: &str = "BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME";
const CONTAINER: &str = "BUILDKIT_AZURE_STORAGE_CONTAINER";
const PREFIX: &str = "BUILDKIT_AZURE_STORAGE_PREFIX";
/// BuildKit's own.
const DEFAULT_CONTAINER: &str = "buildkit-cache";
/// How many blocks a blob may have.
const MOST_BLOCKS: u32 = 50_000;

/// A cache in Azure Blob Storage, for opening an importer or an exporter without a spec.
///
/// ```
/// use cache_azblob::{AzblobConfig, Environment};
/// use cache_kit::Secret;
///
/// let config = AzblobConfig::new("https://account.blob.core.windows.net", Environment::new())?
///     .with_container("caches")?
///     .with_key(&Secret::new("aHVzaA=="))?;
/// assert_eq!(config.container(), "caches");
/// assert!(!format!("{config:?}").contains("aHVzaA"));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AzblobConfig {
    account: Account,
    account_name: Option<String>,
    container: String,
    keys: Keys,
    key: Option<AccountKey>,
    limits: Limits,
    environment: Environment,
}

/// The credential.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// With the account's name and key.
    Key(String, AccountKey),
    /// With the signature that is in the URL.
    Signature,
    /// With a token of Microsoft Entra ID.
    Token,
}

impl AzblobConfig {
    /// The cache `buildkit` in the container `buildkit-cache` of an account, with the credentials in the environment.
    ///
    /// A shared access signature in the query of `account_url` is used.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if the text is not a URL of an account.
    pub fn new(account_url: &str, environment: Environment) -> Result<Self> {
        Ok(Self {
            account: Account::parse(account_url)?,
            account_name: None,
            container: DEFAULT_CONTAINER.to_owned(),
            keys: Keys::default(),
            key: None,
            limits: Limits::default(),
            environment,
        })
    }

    /// Reads a spec of `type=azblob`, of an import or an export.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute, and when the credential is missing
    /// or invalid.
    pub fn from_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let url = match attrs.optional("account_url").map(SecretSource::parse) {
            Some(source) => environment.read("account_url", source)?,
            None => Secret::new(environment.variable(ACCOUNT_URL).unwrap_or_default()),
        };
        let account_name = attrs.optional("account_name").or(environment.variable(ACCOUNT_NAME)).map(str::to_owned);
        let container = attrs.optional("container").or(environment.variable(CONTAINER)).map(str::to_owned);
        let prefix = attrs.optional("prefix").or(environment.variable(PREFIX)).unwrap_or_default().to_owned();
        let manifests = attrs.optional("manifests_prefix").unwrap_or("manifests");
        let blobs = attrs.optional("blobs_prefix").unwrap_or("blobs");
        let names = attrs.optional("name").unwrap_or("buildkit").split(';');
        let key = attrs.optional("secret_access_key").map(SecretSource::parse);
        let key = key.map(|source| environment.read("secret_access_key", source));
        let key = key.transpose()?.filter(|key| !key.is_empty());
        attrs.finish()?;
        if url.is_empty() {
            let error = invalid("type=azblob requires account_url", "account_url");
            return Err(error.with_hint(format!("or set {ACCOUNT_URL}")));
        }
        let config = Self::new(url.expose(), environment)?.with_keys(Keys::new(&prefix, manifests, blobs, names)?);
        let config = container.map_or(Ok(config.clone()), |container| config.with_container(container))?;
        let config = account_name.map_or(Ok(config.clone()), |name| config.with_account_name(name))?;
        let config = key.map_or(Ok(config.clone()), |key| config.with_key(&key))?;
        config.access()?;
        Ok(config)
    }

    /// Puts the cache into another container.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a name that Azure does not allow. A name has 3 to 63 lower-case letters and
    /// digits with single hyphens between them, or is `$root`.
    pub fn with_container(self, container: impl Into<String>) -> Result<Self> {
        let container = container.into();
        if is_container_name(&container) {
            return Ok(Self { container, ..self });
        }
        let message = "a container is named by 3 to 63 lower-case letters, digits, and single hyphens between them";
        Err(invalid(message, "container").with("container", format!("{:?}", shown_place(&container))))
    }

    /// Sets the name of the account, in place of the one in its URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for an empty name.
    pub fn with_account_name(self, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(invalid("the account's name is empty", "account_name")
                .with_hint("leave account_name out to take it from account_url"));
        }
        Ok(Self { account_name: Some(name), ..self })
    }

    /// Uses the account's key, in base64 as Azure shows it, to sign requests.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if it is not base64.
    pub fn with_key(self, key: &Secret) -> Result<Self> {
        Ok(Self { key: Some(AccountKey::parse(key)?), ..self })
    }

    /// Puts the cache under other names in the container.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Sets the largest index that is read.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The container's name.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The names of the cache's blobs.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The credential: the key, else the signature in the URL, else a token.
    pub(crate) fn access(&self) -> Result<Access> {
        match &self.key {
            Some(_) if self.account.has_signature() => {
                let message = "account_url has a signature, and an account key is given too";
                Err(invalid(message, "secret_access_key").with_hint("leave out one of the two"))
            }
            Some(key) => Ok(Access::Key(self.signing_name()?, key.clone())),
            None if self.account.has_signature() => Ok(Access::Signature),
            None if self.account.is_encrypted() => Ok(Access::Token),
            None => {
                let message = "a token is only sent over https, and account_url is http";
                let hint = "give secret_access_key or a signature in account_url, or use https";
                Err(invalid(message, "account_url").with_hint(hint))
            }
        }
    }

    fn signing_name(&self) -> Result<String> {
        let name = self.account_name.as_deref().or_else(|| self.account.name());
        name.map(str::to_owned).ok_or_else(|| {
            let message = "the host in account_url is an IP address, which does not tell the name of the account";
            invalid(message, "account_name").with_hint("give account_name")
        })
    }
}

fn is_container_name(name: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_regular = (3..=63).contains(&name.len())
        && name.starts_with(is_alphanumeric)
        && name.ends_with(is_alphanumeric)
        && name.chars().all(|c| is_alphanumeric(c) || c == '-')
        && !name.contains("--");
    is_regular || name == "$root"
}

fn invalid(message: &str, attribute: &'static str) -> Error {
    Error::new(ErrorKind::InvalidSpec, message).with("attribute", attribute)
}

/// The variables and the tuning of a program, for all of its caches. Clones share the bound on memory.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    tuning: Tuning,
    listener: Listener,
}

impl Environment {
    /// No variables; the default [`Tuning`], with every blob in one request.
    #[expect(clippy::new_without_default, reason = "who one is in Azure is nothing to guess")]
    #[must_use]
    pub fn new() -> Self {
        Self {
            variables: BTreeMap::new(),
            tuning: Tuning::default()
                .with_parts(PartLimits::default().with_max_parts(MOST_BLOCKS))
                .with_read_ahead(ReadAhead::none()),
            listener: Listener::default(),
        }
    }

    /// The variables of this process: `BUILDKIT_AZURE_STORAGE_*`, `AZURE_*`, and those of `env:NAME` in a spec.
    #[must_use]
    pub fn from_env() -> Self {
        let texts =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: texts.collect(), ..Self::new() }
    }

    /// Adds a variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Changes timeouts, retries, bounds on what the service sends, and how layers are cut into blocks; a blob has at
    /// most 50,000 blocks.
    #[must_use]
    pub fn tune(self, change: impl FnOnce(Tuning) -> Tuning) -> Self {
        Self { tuning: change(self.tuning), ..self }
    }

    /// Sets who receives the events of retries outside of exports.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    /// A variable, which may be empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A variable that is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// How layers are cut into blocks.
    pub(crate) fn parts(&self) -> PartLimits {
        let parts = self.tuning.parts().clone();
        let most = parts.max_parts().min(MOST_BLOCKS);
        parts.with_max_parts(most)
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    fn read(&self, attribute: &'static str, source: SecretSource) -> Result<Secret> {
        let secret = read_secret(source, attribute, |name| self.variable(name).map(str::to_owned));
        secret.map_err(|error| error.with("backend", KIND))
    }
}

/// The variables are left out: half of them are secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("backend", &KIND).field("tuning", &self.tuning).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
