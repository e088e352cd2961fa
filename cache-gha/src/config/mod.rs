//! [`GhaConfig`]: the cache, the service, and the tokens.

mod environment;
mod secrets;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::model::Limits;
use cache_core::spec::Attrs;
use cache_core::{CacheSpec, Error, ErrorKind, Result};
use cache_kit::{GoDuration, RetryPolicy, Secret};
use url::Url;

pub use self::environment::Environment;
use self::environment::{CACHE_URL, RESULTS_URL, SERVICE_V2, TOKEN};
use crate::error;
use crate::token::Token;

/// The default name of a cache.
const DEFAULT_SCOPE: &str = "buildkit";
/// A key has at most 512 characters, some of which are for its other parts.
const LONGEST_SCOPE: usize = 400;
/// The host by which BuildKit knows that a URL is one of version 2.
const RESULTS_HOST: &str = "results-receiver.actions.githubusercontent.com";

/// The version of a service's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// REST, of GitHub Enterprise Server, Gitea, Forgejo and act.
    V1,
    /// Twirp and signed URLs, of github.com.
    V2,
}

/// A cache of GitHub Actions, for opening an importer or an exporter without a spec.
///
/// ```
/// use cache_kit::Secret;
/// use cache_gha::{ApiVersion, Environment, GhaConfig};
///
/// # let token = "eyJhbGciOiJIUzI1NiJ9.\
/// #     eyJhYyI6Ilt7XCJTY29wZVwiOlwicmVmcy9oZWFkcy9tYWluXCIsXCJQZXJtaXNzaW9uXCI6M31dIiwiZXhwIjo0MDAwMDAwMDAwLCJuYmYiOjB9.c2ln";
/// let url = "https://results-receiver.actions.githubusercontent.com/";
/// let config = GhaConfig::new(ApiVersion::V2, url, Secret::new(token), Environment::new())?.with_scope("app")?;
/// assert_eq!(config.scope(), "app");
/// assert!(!format!("{config:?}").contains(token));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct GhaConfig {
    scope: String,
    endpoint: Option<Endpoint>,
    repository: Option<Repository>,
    timeout: Option<Duration>,
    limits: Limits,
    environment: Environment,
}

/// A service, and the token for it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) api: ApiVersion,
    pub(crate) url: Url,
    pub(crate) token: Arc<Token>,
}

/// A repository, and the token for its REST API.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) token: Secret,
    pub(crate) api: Url,
}

impl GhaConfig {
    /// The cache `buildkit` at a service.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) if `url` is not a URL or `token` is not a token.
    pub fn new(api: ApiVersion, url: &str, token: Secret, environment: Environment) -> Result<Self> {
        let endpoint = Endpoint { api, url: parse_url("url", url)?, token: Arc::new(Token::parse(token)?) };
        Ok(Self { endpoint: Some(endpoint), ..Self::without_service(environment) })
    }

    fn without_service(environment: Environment) -> Self {
        let (scope, limits) = (DEFAULT_SCOPE.to_owned(), Limits::default());
        Self { scope, endpoint: None, repository: None, timeout: None, limits, environment }
    }

    /// Reads the spec of a cache, as buildx and BuildKit do: missing attributes are taken from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    pub fn from_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let config = Self::from_store_spec(spec, environment)?;
        config.endpoint()?;
        Ok(config)
    }

    /// Reads the spec of the caches of a repository; to list them, neither a service nor its token is needed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for an unknown or bad attribute.
    pub fn from_store_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let scope = attrs.optional("scope").unwrap_or(DEFAULT_SCOPE);
        let endpoint = endpoint_of(&mut attrs, &environment)?;
        let repository = repository_of(&mut attrs, &environment)?;
        let timeout = GoDuration::of(&mut attrs, "timeout")?;
        attrs.finish()?;
        Self { endpoint, repository, timeout, ..Self::without_service(environment) }.with_scope(scope)
    }

    /// Sets the name of the cache (BuildKit's attribute `scope`). It is unrelated to the scopes of the token.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a name with a comma or of more than 400
    /// bytes, which no key can have.
    pub fn with_scope(self, scope: &str) -> Result<Self> {
        if scope.len() > LONGEST_SCOPE || scope.contains(',') {
            return Err(invalid("scope", "scope has to be up to 400 bytes without a comma"));
        }
        Ok(Self { scope: scope.to_owned(), ..self })
    }

    /// Uses the REST API of a repository, `owner/name`, with a token that has `actions: read`, or `actions: write` to
    /// delete.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a name of another form, or a token that
    /// cannot be in a header.
    pub fn with_repository(self, name: &str, token: Secret) -> Result<Self> {
        let repository = Some(Repository::new(name, token, &self.environment)?);
        Ok(Self { repository, ..self })
    }

    /// Sets how long one call may be retried; 10 minutes by default.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Sets the largest index that is read.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The name of the cache.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The service; only calls about the whole repository do without it.
    pub(crate) fn endpoint(&self) -> Result<&Endpoint> {
        self.endpoint.as_ref().ok_or_else(|| {
            invalid("token", "type=gha requires token, and url or url_v2").with_hint(
                "$ACTIONS_RUNTIME_TOKEN and $ACTIONS_RESULTS_URL are not set: in a workflow, only actions see them",
            )
        })
    }

    pub(crate) fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        let policy = self.environment.tuning().retry();
        match self.timeout {
            Some(timeout) => policy.with_budget(timeout),
            None => policy,
        }
    }
}

impl Repository {
    fn new(name: &str, token: Secret, environment: &Environment) -> Result<Self> {
        let is_part = |part: &str| {
            let is_named = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            !part.is_empty() && part != "." && part != ".." && is_named
        };
        if !name.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name)) {
            return Err(invalid("repository", "repository has to be owner/name"));
        }
        if token.is_empty() || !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("ghtoken", "ghtoken has to be one line of text"));
        }
        let api = parse_url("GITHUB_API_URL", environment.api_url())?;
        Ok(Self { name: name.to_owned(), token, api })
    }
}

/// The rules of the clients, and then those of the daemon (reference: `client/build.go` of buildctl, `cache/remotecache/gha`).
fn endpoint_of(attrs: &mut Attrs<'_>, environment: &Environment) -> Result<Option<Endpoint>> {
    let version = attrs.parse::<u32>("version", "a positive integer")?;
    if version == Some(0) {
        return Err(invalid("version", "invalid value \"0\"; expected a positive integer"));
    }
    let token = secrets::read(attrs, "token")?;
    let token = token.filter(|token| !token.is_empty()).or_else(|| environment.variable(TOKEN));
    let (given_url, given_v2) = (attrs.optional("url"), attrs.optional("url_v2"));
    let from_env = |name| environment.variable(name).map(|value| value.expose().to_owned());
    let is_v2_wanted = version == Some(2) || (version.is_none() && environment.is_set(SERVICE_V2));
    let url = given_url.map(str::to_owned).or_else(|| from_env(CACHE_URL)).or_else(|| from_env(RESULTS_URL));
    let url_v2 = given_v2.map(str::to_owned).or_else(|| from_env(RESULTS_URL).filter(|_| is_v2_wanted));
    let Some((api, url)) = choose(version, url.unwrap_or_default(), url_v2) else {
        if token.is_some() && version == Some(1) && given_v2.is_some() {
            return Err(invalid("url", "version=1 requires url, and url_v2 is not one"));
        }
        return Ok(None);
    };
    let Some(token) = token else { return Ok(None) };
    let name = if given_v2.is_some_and(|given| given == url) { "url_v2" } else { "url" };
    Ok(Some(Endpoint { api, url: parse_url(name, &url)?, token: Arc::new(Token::parse(token)?) }))
}

/// The interface and the URL, as BuildKit chooses them.
fn choose(version: Option<u32>, url: String, url_v2: Option<String>) -> Option<(ApiVersion, String)> {
    let chosen = match (version, url_v2) {
        (None | Some(2..), Some(url_v2)) => (ApiVersion::V2, if url_v2.is_empty() { url } else { url_v2 }),
        (Some(2..), None) => (ApiVersion::V2, url),
        (None, None) if url.contains(RESULTS_HOST) => (ApiVersion::V2, url),
        _ => (ApiVersion::V1, url),
    };
    Some(chosen).filter(|(_, url)| !url.is_empty())
}

fn repository_of(attrs: &mut Attrs<'_>, environment: &Environment) -> Result<Option<Repository>> {
    let name = attrs.optional("repository").filter(|name| !name.is_empty());
    let token = secrets::read(attrs, "ghtoken")?.filter(|token| !token.is_empty());
    match (name, token) {
        (Some(name), Some(token)) => Repository::new(name, token, environment).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid("ghtoken", "repository needs ghtoken, a token for the repository's REST API")),
        (None, Some(_)) => Err(invalid("repository", "ghtoken needs repository, as owner/name")),
    }
}

/// A base URL; it is never shown, not even when it is invalid.
fn parse_url(name: &'static str, text: &str) -> Result<Url> {
    let parsed = Url::parse(text).ok().filter(|url| {
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        is_http && url.username().is_empty() && url.password().is_none()
    });
    let mut url = parsed.ok_or_else(|| invalid(name, format!("{name} has to be an http or https URL")))?;
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn invalid(attribute: &'static str, message: impl Into<String>) -> Error {
    error::new(ErrorKind::InvalidSpec, message).with("attribute", attribute)
}

impl fmt::Debug for GhaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("GhaConfig");
        shown.field("scope", &self.scope);
        if let Some(endpoint) = &self.endpoint {
            shown.field("api", &endpoint.api).field("host", &endpoint.url.host_str().unwrap_or_default());
            shown.field("token", &endpoint.token);
        }
        if let Some(repository) = &self.repository {
            shown.field("repository", &repository.name);
        }
        shown.finish_non_exhaustive()
    }
}
