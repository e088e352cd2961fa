//! [`MemoryCache`]: a store in memory, with one of its caches selected.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::manifest::{Document, ManifestForm};
use cache_core::{Descriptor, Digest, Error, ErrorKind, Expect, Result, Timestamp, Version};

/// A store in memory that holds caches by name; clones are views of one store.
///
/// Documents are kept as bytes in the form that was written, as in a registry.
///
/// ```
/// use cache_core::CacheImporter;
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = MemoryCache::new();
/// assert!(cache.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryCache {
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) name: String,
    pub(crate) form: Option<ManifestForm>,
}

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) blobs: HashMap<Digest, (Bytes, Timestamp)>,
    pub(crate) caches: BTreeMap<String, Descriptor>,
}

impl MemoryCache {
    /// An empty store, with the cache `latest` selected.
    #[must_use]
    pub fn new() -> Self {
        Self { store: Arc::default(), name: "latest".to_owned(), form: None }
    }

    /// The same store, with another cache selected.
    #[must_use]
    pub fn named(&self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// The same store, writing manifests in `form`.
    #[must_use]
    pub fn with_form(&self, form: ManifestForm) -> Self {
        Self { form: Some(form), ..self.clone() }
    }

    /// Adds a blob under its digest.
    #[must_use]
    pub fn insert(&self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        self.overwrite(digest, bytes);
        digest
    }

    /// Stores bytes under a digest that need not be theirs, as in a corrupt store.
    pub fn overwrite(&self, digest: Digest, bytes: impl Into<Bytes>) {
        self.lock().blobs.insert(digest, (bytes.into(), Timestamp::now()));
    }

    /// Deletes a blob, as if the store had lost it.
    pub fn lose(&self, digest: &Digest) {
        self.lock().blobs.remove(digest);
    }

    /// Sets when a blob was last written.
    pub fn set_modified(&self, digest: &Digest, modified: Timestamp) {
        if let Some((_, at)) = self.lock().blobs.get_mut(digest) {
            *at = modified;
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        // Every change is one statement, so a panic elsewhere leaves the store consistent.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert_document(&self, document: Document) {
        self.lock().blobs.insert(document.descriptor.digest, (document.bytes, Timestamp::now()));
    }

    /// Points the name to a manifest.
    pub(crate) fn lead_to(&self, manifest: &Descriptor, expect: Expect) -> Result<Version> {
        let mut store = self.lock();
        let found = store.caches.get(&self.name).map(version);
        let is_expected = match expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
        };
        if !is_expected {
            return Err(Error::new(ErrorKind::Conflict, "somebody else wrote first").with("name", &self.name));
        }
        store.caches.insert(self.name.clone(), manifest.clone());
        Ok(version(manifest))
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The version of a name that points to this manifest.
pub(crate) fn version(descriptor: &Descriptor) -> Version {
    Version::new(descriptor.digest.to_string())
}
