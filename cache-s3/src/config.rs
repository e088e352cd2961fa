//! [`S3Config`]: the cache, and how it is written; [`Environment`]: settings outside of specs.

use std::env;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use cache_core::model::Limits;
use cache_core::spec::Attrs;
use cache_core::{CacheSpec, ErrorKind, Result};
use cache_kit::{GoDuration, Listener, Secret, SecretSource, Tuning, read_secret};

use crate::conditions::Conditions;
use crate::copy_limits::CopyLimits;
use crate::endpoint::Endpoint;
use crate::error;
use crate::keys::{self, Keys};

/// The variables that name files of AWS.
const FILES: [&str; 3] = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];

/// A cache in a bucket, for opening an importer or an exporter without a spec.
///
/// ```
/// use cache_s3::{Credential, Environment, S3Config};
///
/// let environment = Environment::new().with_credential(Credential::new("AKIA…", "hush"));
/// let config = S3Config::new("team", "eu-west-1", environment).with_prefix("app/").with_name("main");
/// assert!(!format!("{config:?}").contains("hush"));
/// ```
#[derive(Debug, Clone)]
pub struct S3Config {
    bucket: String,
    region: String,
    endpoint: Option<Endpoint>,
    is_path_style: bool,
    keys: Keys,
    names: Vec<String>,
    touch_refresh: Duration,
    parallelism: Option<NonZeroUsize>,
    is_adaptive: bool,
    limits: Limits,
    environment: Environment,
}

impl S3Config {
    /// The cache `buildkit` in a bucket, at BuildKit's default keys.
    #[must_use]
    pub fn new(bucket: impl Into<String>, region: impl Into<String>, environment: Environment) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint: None,
            is_path_style: false,
            keys: Keys::default(),
            names: vec!["buildkit".to_owned()],
            touch_refresh: Duration::from_secs(24 * 60 * 60),
            parallelism: None,
            is_adaptive: false,
            limits: Limits::default(),
            environment,
        }
    }

    /// Reads the spec of an import or an export; all attributes of BuildKit are known.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute, and the error of reading a secret's file.
    pub fn from_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let bucket = given(&mut attrs, "bucket", environment.bucket.as_deref(), "AWS_BUCKET")?;
        let region = given(&mut attrs, "region", environment.region.as_deref(), "AWS_REGION")?;
        let mut config = Self::new(bucket, region, environment);
        config.keys = keys_of(&mut attrs);
        if let Some(name) = attrs.optional("name") {
            config.names = keys::names(name);
        }
        config.touch_refresh = GoDuration::of(&mut attrs, "touch_refresh")?.unwrap_or(config.touch_refresh);
        config.parallelism = attrs.parse("upload_parallelism", "a positive integer")?;
        config.endpoint = attrs.optional("endpoint_url").filter(|url| !url.is_empty()).map(Endpoint::new);
        config.is_path_style = attrs.bool("use_path_style")?.unwrap_or(false);
        // This backend never signs payloads, so there is nothing to turn off.
        attrs.bool("disable_accept_encoding")?;
        config.is_adaptive = attrs.parse("retry_mode", "standard or adaptive")? == Some(RetryMode::Adaptive);
        if let Some(attempts) = attrs.parse::<NonZeroU32>("retry_max_attempts", "a positive integer")? {
            config.environment = config.environment.tune(|tuning| {
                let retry = tuning.retry().with_attempts(attempts.get());
                tuning.with_retry(retry)
            });
        }
        let credential = credential(&mut attrs);
        attrs.finish()?;
        config.endpoint.as_ref().map_or(Ok(()), |endpoint| endpoint.check("endpoint_url"))?;
        config.environment.endpoint.as_ref().map_or(Ok(()), |endpoint| endpoint.check("AWS_ENDPOINT_URL"))?;
        if let Some(credential) = credential? {
            config.environment.credential = Some(credential);
        }
        Ok(config)
    }

    /// Sets the start of every key; no slash is added.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.keys.prefix = prefix.into();
        self
    }

    /// Sets the name of the cache.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], ..self }
    }

    /// Sets a server other than AWS, with the bucket in the path if it does not support `bucket.host`.
    #[must_use]
    pub fn with_endpoint(self, url: impl Into<String>, is_path_style: bool) -> Self {
        Self { endpoint: Some(Endpoint::new(url)), is_path_style, ..self }
    }

    /// Sets the age at which a present blob gets a new time, at the latest.
    #[must_use]
    pub fn with_touch_refresh(self, age: Duration) -> Self {
        Self { touch_refresh: age, ..self }
    }

    /// Sets the largest index that is read.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same store, for one name.
    pub(crate) fn named(&self, name: &str) -> Self {
        self.clone().with_name(name)
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The endpoint of the spec.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Paths are for other servers only, as in BuildKit.
    pub(crate) fn is_path_style(&self) -> bool {
        self.is_path_style && self.endpoint.is_some()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The name that is read, and on which a commit is conditional.
    pub(crate) fn first_name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The names that are written after the first one.
    pub(crate) fn other_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().skip(1).map(String::as_str)
    }

    /// The age from which a push sets a blob's age back: BuildKit's, or half of the time after which `prune` may delete
    /// a blob that no index names.
    pub(crate) fn refresh_after(&self) -> Duration {
        let grace = self.touch_refresh + Duration::from_secs(60 * 60);
        self.touch_refresh.min(grace / 2)
    }

    pub(crate) fn parallelism(&self) -> Option<usize> {
        self.parallelism.map(NonZeroUsize::get)
    }

    pub(crate) fn is_adaptive(&self) -> bool {
        self.is_adaptive
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// An attribute with a variable as its fallback.
fn given(attrs: &mut Attrs<'_>, name: &'static str, instead: Option<&str>, variable: &str) -> Result<String> {
    match (attrs.optional(name), instead) {
        (None, Some(value)) => Ok(value.to_owned()),
        _ => attrs
            .required(name, name)
            .map(str::to_owned)
            .map_err(|error| error.with_hint(format!("set {name}=, or the variable {variable}"))),
    }
}

fn keys_of(attrs: &mut Attrs<'_>) -> Keys {
    let keys = Keys::default();
    let mut text = |name, default: String| attrs.optional(name).map_or(default, str::to_owned);
    Keys {
        prefix: text("prefix", keys.prefix),
        manifests_prefix: text("manifests_prefix", keys.manifests_prefix),
        blobs_prefix: text("blobs_prefix", keys.blobs_prefix),
    }
}

/// How the SDK paces its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryMode {
    Standard,
    Adaptive,
}

impl FromStr for RetryMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "standard" => Ok(Self::Standard),
            "adaptive" => Ok(Self::Adaptive),
            _ => Err(()),
        }
    }
}

/// The static keys; half of a pair is an error here, where BuildKit would take another identity without a word.
fn credential(attrs: &mut Attrs<'_>) -> Result<Option<Credential>> {
    let mut secret = |name| {
        let source = attrs.optional(name).map(SecretSource::parse);
        move || source.map(|source| read(name, source)).transpose()
    };
    let parts = [secret("access_key_id"), secret("secret_access_key"), secret("session_token")];
    let [id, key, token] = parts.map(|read| read().map(|read| read.filter(|secret| !secret.is_empty())));
    match (id?, key?, token?) {
        (Some(id), Some(key), token) => {
            Ok(Some(Credential { access_key_id: id.expose().to_owned(), secret_access_key: key, session_token: token }))
        }
        (None, None, None) => Ok(None),
        _ => {
            let error = error::new(ErrorKind::InvalidSpec, "access_key_id and secret_access_key go together");
            Err(error.with_hint("give both, or neither to use the credentials of the environment"))
        }
    }
}

fn read(attribute: &'static str, source: SecretSource) -> Result<Secret> {
    let secret = read_secret(source, attribute, |name| env::var(name).ok());
    secret.map_err(|error| error.with("backend", crate::KIND))
}

/// Static keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl Credential {
    /// A pair of keys.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        let secret_access_key = Secret::new(secret_access_key);
        Self { access_key_id: access_key_id.into(), secret_access_key, session_token: None }
    }

    /// The session token of temporary keys.
    #[must_use]
    pub fn with_session_token(self, token: impl Into<String>) -> Self {
        Self { session_token: Some(Secret::new(token)), ..self }
    }

    pub(crate) fn parts(&self) -> (&str, &str, Option<&str>) {
        (&self.access_key_id, self.secret_access_key.expose(), self.session_token.as_ref().map(Secret::expose))
    }
}

/// The credentials and the tuning of a program, for all of its caches. Clones share the limit of parts in flight, and
/// what is known about the stores.
#[derive(Debug, Clone)]
pub struct Environment {
    bucket: Option<String>,
    region: Option<String>,
    endpoint: Option<Endpoint>,
    ca_bundle: Option<PathBuf>,
    /// Files that the SDK reads, by the variables that name them.
    files: Vec<(&'static str, PathBuf)>,
    credential: Option<Credential>,
    uses_chain: bool,
    tuning: Tuning,
    listener: Listener,
    copies: CopyLimits,
    conditions: Conditions,
}

impl Environment {
    /// No credentials, and the default [`Tuning`].
    #[expect(clippy::new_without_default, reason = "which credentials to use is nothing to guess")]
    #[must_use]
    pub fn new() -> Self {
        Self {
            bucket: None,
            region: None,
            endpoint: None,
            ca_bundle: None,
            files: Vec::new(),
            credential: None,
            uses_chain: false,
            tuning: Tuning::default(),
            listener: Listener::default(),
            copies: CopyLimits::default(),
            conditions: Conditions::default(),
        }
    }

    /// What a BuildKit daemon would use: `$AWS_BUCKET`, `$AWS_REGION`, `$AWS_ENDPOINT_URL_S3`, `$AWS_ENDPOINT_URL`,
    /// `$AWS_CA_BUNDLE` or the `ca_bundle` of the AWS profile, and the default chain of credentials of the AWS SDKs,
    /// which is used at the first request.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            bucket: variable("AWS_BUCKET"),
            region: variable("AWS_REGION"),
            endpoint: variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).map(Endpoint::new),
            ca_bundle: variable("AWS_CA_BUNDLE").map(PathBuf::from),
            files: FILES.into_iter().filter_map(|name| Some((name, PathBuf::from(variable(name)?)))).collect(),
            uses_chain: true,
            ..Self::new()
        }
    }

    /// Uses these keys if a spec has none.
    #[must_use]
    pub fn with_credential(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// Trusts the CAs in this file in place of the system's: certificates in PEM, read at the first request.
    #[must_use]
    pub fn with_ca_bundle(self, path: impl Into<PathBuf>) -> Self {
        Self { ca_bundle: Some(path.into()), ..self }
    }

    /// Changes timeouts, retries, bounds on what the store sends, and the parts in which blobs are sent and read; S3
    /// requires parts of at least 5 MiB.
    #[must_use]
    pub fn tune(self, change: impl FnOnce(Tuning) -> Tuning) -> Self {
        Self { tuning: change(self.tuning), ..self }
    }

    /// Sets who receives the events of retries outside of exports.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    /// Sets from which size on a blob is refreshed by a copy in parts, and the size of these parts; 5 GiB and 1 GiB by
    /// default.
    #[must_use]
    pub fn with_copies(self, whole: u64, part: u64) -> Self {
        Self { copies: CopyLimits { whole, part }, ..self }
    }

    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    pub(crate) fn ca_bundle(&self) -> Option<&Path> {
        self.ca_bundle.as_deref()
    }

    pub(crate) fn files(&self) -> &[(&'static str, PathBuf)] {
        &self.files
    }

    pub(crate) fn uses_chain(&self) -> bool {
        self.uses_chain
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn copies(&self) -> CopyLimits {
        self.copies
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}

#[cfg(test)]
mod tests;
