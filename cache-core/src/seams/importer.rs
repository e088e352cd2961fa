//! Reading a cache.

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::CacheManifest;
use crate::seams::BlobProvider;

/// Reads one cache.
#[async_trait]
pub trait CacheImporter: BlobProvider {
    /// Reads the manifest; `None` when there is no cache yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] when what is there cannot be a cache, and [`ErrorKind::NotFound`] when a document
    /// is gone that another one names.
    async fn resolve(&self) -> Result<Option<Resolved>>;
}

/// A cache that was read, and what a later commit can be conditioned on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolved {
    /// The cache.
    pub manifest: CacheManifest,
    /// The state of the place it was read from.
    pub version: Version,
}

impl Resolved {
    /// Joins a manifest with the version it was read at.
    #[must_use]
    pub fn new(manifest: CacheManifest, version: Version) -> Self {
        Self { manifest, version }
    }
}

/// The state of a named place, opaque but for equality: an ETag, a digest, a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Wraps what the store calls this state.
    #[must_use]
    pub fn new(state: impl Into<String>) -> Self {
        Self(state.into())
    }

    /// What the store calls this state.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
