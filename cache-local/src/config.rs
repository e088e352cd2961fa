//! [`LocalConfig`]: the directory, the cache in it, and options for writing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cache_core::manifest::ManifestForm;
use cache_core::model::Limits;
use cache_core::spec::Attrs;
use cache_core::{CacheSpec, Digest, Error, ErrorKind, Result};

use crate::error::on_attribute;
use crate::index::DEFAULT_TAG;

/// A cache in a directory, for opening an importer or an exporter without a spec.
///
/// ```
/// use cache_local::LocalConfig;
///
/// let config = LocalConfig::new("/var/cache/build").with_tag("main");
/// assert_eq!(config.root(), std::path::Path::new("/var/cache/build"));
///
/// let spec = "type=local,dest=/var/cache/build,tag=main".parse()?;
/// assert_eq!(LocalConfig::from_export_spec(&spec)?, config);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    root: PathBuf,
    tag: Option<String>,
    digest: Option<Digest>,
    form: Option<ManifestForm>,
    reset: bool,
    checks_present: bool,
    lock_timeout: Duration,
    limits: Limits,
}

/// Which manifest of a directory an importer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The one with the tag.
    Tag(String),
    /// No tag was given: `latest`, or the only entry when that one has no tag.
    Default,
    /// The one with this digest, with or without a tag.
    Digest(Digest),
}

impl LocalConfig {
    /// The cache `latest` in the directory `root`, which need not exist.
    ///
    /// Writers of `index.json` wait up to 30 seconds for each other.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            tag: None,
            digest: None,
            form: None,
            reset: false,
            checks_present: false,
            lock_timeout: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }

    /// Reads the spec of a cache to import: `src`, `tag`, `digest`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute, and for an empty tag without a digest.
    pub fn from_import_spec(spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, ["src", "dest"])?.with_digest_of(&mut attrs)?;
        attrs.finish()?;
        config.selection()?;
        Ok(config)
    }

    /// Reads the spec of a cache to export: `dest`, `tag`, `image-manifest`, `oci-mediatypes`, `reset`,
    /// `check-present`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    pub fn from_export_spec(spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, ["dest", "src"])?;
        let form = ManifestForm::from_attrs(&mut attrs)?;
        let reset = attrs.bool("reset")?.unwrap_or(false);
        let checks_present = attrs.bool("check-present")?.unwrap_or(false);
        attrs.finish()?;
        Ok(Self { form, reset, checks_present, ..config })
    }

    /// Reads the spec of a directory to list and to delete from: `src` or `dest`, `tag`, `digest`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    pub fn from_store_spec(spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, ["src", "dest"])?.with_digest_of(&mut attrs)?;
        attrs.finish()?;
        Ok(config)
    }

    /// Reads the spec of an image to put a cache into: `image`, `tag`, `digest`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a missing, unknown or bad attribute.
    pub fn from_image_spec(spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let config = Self::from_attrs(&mut attrs, ["image", "image"])?.with_digest_of(&mut attrs)?;
        attrs.finish()?;
        config.selection()?;
        Ok(config)
    }

    fn from_attrs(attrs: &mut Attrs<'_>, [name, instead]: [&'static str; 2]) -> Result<Self> {
        let config = Self::new(attrs.required(name, instead)?);
        let tag = attrs.optional("tag").map(str::to_owned);
        Ok(Self { tag, ..config })
    }

    fn with_digest_of(self, attrs: &mut Attrs<'_>) -> Result<Self> {
        let digest = attrs.parse("digest", "a digest like sha256:<64 lower-case hex digits>")?;
        Ok(Self { digest, ..self })
    }

    /// Sets the tag of the cache.
    ///
    /// An export with an empty tag replaces every entry that has none, as in BuildKit; an import with an empty tag
    /// needs a digest.
    #[must_use]
    pub fn with_tag(self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), ..self }
    }

    /// Imports the manifest of this digest instead of a tag.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// Writes manifests in this form; without one a copied manifest keeps its own.
    #[must_use]
    pub fn with_form(self, form: ManifestForm) -> Self {
        Self { form: Some(form), ..self }
    }

    /// After each commit, deletes blobs that no entry of `index.json` reaches.
    #[must_use]
    pub fn with_reset(self, reset: bool) -> Self {
        Self { reset, ..self }
    }

    /// Reads and hashes present blobs, and writes corrupt ones again.
    ///
    /// Without it a blob of the right name and size counts as present, and damage on the disk is not noticed.
    #[must_use]
    pub fn with_check_present(self, checks_present: bool) -> Self {
        Self { checks_present, ..self }
    }

    /// Sets how long a writer waits for the lock of `index.json`.
    #[must_use]
    pub fn with_lock_timeout(self, timeout: Duration) -> Self {
        Self { lock_timeout: timeout, ..self }
    }

    /// Sets the limits of documents that are read whole; `index.json` counts as a config.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The tag an export writes.
    pub(crate) fn tag_or_default(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The entry that an importer reads.
    pub(crate) fn selection(&self) -> Result<Selection> {
        match (self.digest, self.tag.as_deref()) {
            (Some(digest), _) => Ok(Selection::Digest(digest)),
            (None, Some("")) => {
                Err(on_attribute(Error::new(ErrorKind::InvalidSpec, "an import needs a tag or a digest"), "tag"))
            }
            (None, Some(tag)) => Ok(Selection::Tag(tag.to_owned())),
            (None, None) => Ok(Selection::Default),
        }
    }

    pub(crate) fn form(&self) -> Option<ManifestForm> {
        self.form
    }

    pub(crate) fn reset(&self) -> bool {
        self.reset
    }

    pub(crate) fn checks_present(&self) -> bool {
        self.checks_present
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

#[cfg(test)]
mod tests;
