//! [`RegistryConfig`]: the cache, and how it is written; [`Environment`]: settings outside of references.

use std::env;
use std::path::{Path, PathBuf};

use cache_core::manifest::ManifestForm;
use cache_core::model::Limits;
use cache_core::spec::Attrs;
use cache_core::{CacheSpec, Result};
use cache_kit::{Listener, ReadAhead, Secret, Tuning};

use crate::Proxies;
use crate::auth::{AuthSource, Credential};
use crate::reference::Reference;

/// The variable with the text of a `config.json`.
const AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";

/// A cache in a registry, for opening an importer or an exporter without a spec.
///
/// ```
/// use cache_registry::{Credential, Environment, RegistryConfig};
///
/// let environment = Environment::new().with_credential(Credential::password("me", "hush"));
/// let config = RegistryConfig::new("ghcr.io/team/app:cache", environment)?;
/// assert_eq!(config.reference(), "ghcr.io/team/app:cache");
/// assert!(!format!("{config:?}").contains("hush"));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    reference: Reference,
    form: Option<ManifestForm>,
    is_insecure: bool,
    limits: Limits,
    environment: Environment,
}

impl RegistryConfig {
    /// The cache with this reference, completed as by Docker: without a host it is on Docker Hub, and without a tag it
    /// is `latest`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) if the text is not a reference.
    pub fn new(reference: &str, environment: Environment) -> Result<Self> {
        Ok(Self::of(Reference::parse(reference)?, environment))
    }

    pub(crate) fn of(reference: Reference, environment: Environment) -> Self {
        Self { reference, form: None, is_insecure: false, limits: Limits::default(), environment }
    }

    /// Reads the spec of a cache to import or of a repository to list: `ref`, `registry.insecure`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    pub fn from_import_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, "ref", environment)?;
        attrs.finish()?;
        Ok(config)
    }

    /// Reads the spec of an image to put a cache into: `image`, `registry.insecure`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    pub fn from_image_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, "image", environment)?;
        attrs.finish()?;
        Ok(config)
    }

    /// Reads the spec of a cache to export: `ref`, `registry.insecure`, `image-manifest`, `oci-mediatypes`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    pub fn from_export_spec(spec: &CacheSpec, environment: Environment) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, "ref", environment)?;
        let form = ManifestForm::from_attrs(&mut attrs)?;
        attrs.finish()?;
        Ok(Self { form, ..config })
    }

    fn from_attrs(attrs: &mut Attrs<'_>, name: &'static str, environment: Environment) -> Result<Self> {
        let reference = attrs.required(name, name)?;
        let config = Self::new(reference, environment).map_err(|error| error.with("attribute", name))?;
        let is_insecure = attrs.bool("registry.insecure")?.unwrap_or(false);
        Ok(config.with_insecure(is_insecure))
    }

    /// Writes manifests in this form; without one a copied manifest keeps its own.
    #[must_use]
    pub fn with_form(self, form: ManifestForm) -> Self {
        Self { form: Some(form), ..self }
    }

    /// Accepts any certificate, and plain HTTP if there is no HTTPS.
    #[must_use]
    pub fn with_insecure(self, is_insecure: bool) -> Self {
        Self { is_insecure, ..self }
    }

    /// Sets the largest documents that are read.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The full name of the cache.
    #[must_use]
    pub fn reference(&self) -> String {
        self.reference.to_string()
    }

    /// The same repository, for another manifest.
    pub(crate) fn at(&self, reference: Reference) -> Self {
        Self { reference, ..self.clone() }
    }

    pub(crate) fn parsed(&self) -> &Reference {
        &self.reference
    }

    pub(crate) fn form(&self) -> Option<ManifestForm> {
        self.form
    }

    pub(crate) fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// The credentials, certificates, proxies and tuning of a program, for all of its caches.
#[derive(Debug, Clone)]
pub struct Environment {
    credential: Option<Credential>,
    auth_sources: Vec<AuthSource>,
    certs_dirs: Vec<PathBuf>,
    proxies: Proxies,
    tuning: Tuning,
    listener: Listener,
}

impl Environment {
    /// No credentials, no proxies and the system's certificates; the default [`Tuning`], with every blob in one
    /// request.
    #[expect(clippy::new_without_default, reason = "which credentials to use is nothing to guess")]
    #[must_use]
    pub fn new() -> Self {
        Self {
            credential: None,
            auth_sources: Vec::new(),
            certs_dirs: Vec::new(),
            proxies: Proxies::none(),
            // A registry would answer each part of a blob with a redirect.
            tuning: Tuning::default().with_read_ahead(ReadAhead::none()),
            listener: Listener::default(),
        }
    }

    /// What Docker and Podman use: the text of `$DOCKER_AUTH_CONFIG`, then the files `$REGISTRY_AUTH_FILE`,
    /// `config.json` in `$DOCKER_CONFIG` or `~/.docker`, and `$XDG_RUNTIME_DIR/containers/auth.json`; certificates in
    /// `/etc/docker/certs.d`; the proxies of `$HTTPS_PROXY`, `$HTTP_PROXY`, `$ALL_PROXY` and `$NO_PROXY`, or the same
    /// in lower case. Files are read when a registry asks for credentials, and those that do not exist are left out.
    #[must_use]
    pub fn from_env() -> Self {
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = path("DOCKER_CONFIG").or_else(|| Some(env::home_dir()?.join(".docker")));
        let text = env::var(AUTH_CONFIG).ok().filter(|text| !text.is_empty());
        let variable = text.map(|text| AuthSource::Variable(AUTH_CONFIG, Secret::new(text)));
        let files = [
            path("REGISTRY_AUTH_FILE"),
            docker.map(|dir| dir.join("config.json")),
            path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        ];
        let auth_sources = variable.into_iter().chain(files.into_iter().flatten().map(AuthSource::File)).collect();
        let environment = Self { auth_sources, ..Self::new() };
        let proxies = Proxies::from_variables(|name| env::var(name).ok());
        environment.with_certs_dir("/etc/docker/certs.d").with_proxies(proxies)
    }

    /// Uses this credential for every registry, and no file.
    #[must_use]
    pub fn with_credential(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// Looks for credentials in this file too, a `config.json` or an `auth.json`, after those that were named before.
    #[must_use]
    pub fn with_auth_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.auth_sources.push(AuthSource::File(path.into()));
        self
    }

    /// Looks for credentials in this file first, and keeps logins there.
    #[must_use]
    pub fn with_first_auth_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.auth_sources.insert(0, AuthSource::File(path.into()));
        self
    }

    /// Also looks for certificates in this directory: `<host>/*.crt` is a CA, `*.cert` and `*.key` are the client's.
    #[must_use]
    pub fn with_certs_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.certs_dirs.push(path.into());
        self
    }

    /// Sets the proxies; this machine is reached directly.
    #[must_use]
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Changes timeouts, retries, bounds, and how blobs are read. An upload always starts with a single request.
    #[must_use]
    pub fn tune(self, change: impl FnOnce(Tuning) -> Tuning) -> Self {
        Self { tuning: change(self.tuning), ..self }
    }

    /// Sets who receives the events of retries outside of exports.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    pub(crate) fn auth_sources(&self) -> &[AuthSource] {
        &self.auth_sources
    }

    /// The file for new logins: the first one that is read.
    pub(crate) fn login_file(&self) -> Option<&Path> {
        self.auth_sources.iter().find_map(|source| match source {
            AuthSource::File(path) => Some(path.as_path()),
            AuthSource::Variable(..) => None,
        })
    }

    pub(crate) fn certs_dirs(&self) -> impl Iterator<Item = &Path> {
        self.certs_dirs.iter().map(PathBuf::as_path)
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }
}

#[cfg(test)]
mod tests {
    use cache_core::ErrorKind;

    use super::*;

    fn import(spec: &str) -> Result<RegistryConfig> {
        RegistryConfig::from_import_spec(&spec.parse().unwrap(), Environment::new())
    }

    fn export(spec: &str) -> Result<RegistryConfig> {
        RegistryConfig::from_export_spec(&spec.parse().unwrap(), Environment::new())
    }

    #[test]
    fn a_reference_is_required() {
        for spec in ["type=registry,registry.insecure=true", "type=registry,ref="] {
            let error = import(spec).unwrap_err();
            assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("ref")));
        }
        assert_eq!(import("alpine").unwrap().reference(), "docker.io/library/alpine:latest");
    }

    #[test]
    fn each_direction_has_its_own_attributes() {
        let unknown = |result: Result<RegistryConfig>| result.unwrap_err().context("unknown").map(str::to_owned);
        assert_eq!(unknown(import("type=registry,ref=a,image-manifest=true")), Some("image-manifest".to_owned()));
        assert_eq!(unknown(export("type=registry,ref=a,insecure=true")), Some("insecure".to_owned()));
        assert!(import("type=registry,ref=a,registry.insecure=1").unwrap().is_insecure());
        assert!(!export("type=registry,ref=a,registry.insecure=F").unwrap().is_insecure());
        assert_eq!(import("type=registry,ref=a,registry.insecure=yes").unwrap_err().kind(), ErrorKind::InvalidSpec);
    }

    #[test]
    fn the_form_is_chosen_as_in_buildkit() {
        let form = |attributes: &str| export(&format!("type=registry,ref=a{attributes}")).map(|config| config.form());
        assert_eq!(form("").unwrap(), None);
        assert_eq!(form(",image-manifest=false").unwrap(), Some(ManifestForm::Index));
        assert_eq!(form(",oci-mediatypes=false").unwrap(), Some(ManifestForm::DockerList));
        assert_eq!(form(",oci-mediatypes=false,image-manifest=true").unwrap_err().kind(), ErrorKind::InvalidSpec);
    }
}
