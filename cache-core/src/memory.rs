//! [`MemoryCache`]: the reference backend, for doctests, the conformance suite, and tests of other crates.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::load;
use crate::manifest::{CacheManifest, Document, EncodedManifest, ManifestForm};
use crate::model::{Descriptor, Digest, Limits, Timestamp};
use crate::seams::{
    BackendFacts, BlobEntry, BlobInfo, BlobProvider, BlobStream, CacheBackend, CacheEntry, CacheExporter,
    CacheImporter, CacheProbe, CacheStore, Committed, Contributions, Deleted, Expect, ExporterFacts, ImageBackend,
    ImageStore, Naming, Progress, Pushed, Quota, Resolved, Version, delete_each, stream_of,
};
use crate::spec::{Attribute, Attrs, CacheSpec};

/// Blobs younger than this need no refresh: half the grace of a prune.
const FRESH: Duration = Duration::from_secs(1800);

/// A store in memory that holds caches by name; clones are views of one store.
///
/// It keeps documents as bytes, in the form it was asked for, like a registry does.
///
/// ```
/// use cache_core::{CacheImporter, MemoryCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = MemoryCache::new();
/// assert!(cache.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryCache {
    store: Arc<Mutex<Store>>,
    name: String,
    form: Option<ManifestForm>,
}

#[derive(Default)]
struct Store {
    blobs: HashMap<Digest, (Bytes, Timestamp)>,
    caches: BTreeMap<String, Descriptor>,
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

    /// Adds any bytes under any digest, as a corrupt store would hold them.
    pub fn overwrite(&self, digest: Digest, bytes: impl Into<Bytes>) {
        self.lock().blobs.insert(digest, (bytes.into(), Timestamp::now()));
    }

    /// Deletes a blob, as a store that loses it.
    pub fn lose(&self, digest: &Digest) {
        self.lock().blobs.remove(digest);
    }

    /// Sets when a blob was last written.
    pub fn set_modified(&self, digest: &Digest, modified: Timestamp) {
        if let Some((_, at)) = self.lock().blobs.get_mut(digest) {
            *at = modified;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // Every change is one statement, so a panic elsewhere leaves nothing half done.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a push does with a present blob.
    fn refresh(&self, blob: &Descriptor) -> Option<Pushed> {
        let now = Timestamp::now();
        let mut store = self.lock();
        let (_, modified) = store.blobs.get_mut(&blob.digest).filter(|(bytes, _)| bytes.len() as u64 == blob.size)?;
        if *modified > now.saturating_sub(FRESH) {
            return Some(Pushed::Present);
        }
        *modified = now;
        Some(Pushed::Refreshed)
    }

    fn insert_document(&self, document: Document) {
        self.lock().blobs.insert(document.descriptor.digest, (document.bytes, Timestamp::now()));
    }

    /// Points the name to a manifest.
    fn lead_to(&self, manifest: &Descriptor, expect: Expect) -> Result<Version> {
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

impl std::fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCache").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl BlobProvider for MemoryCache {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let store = self.lock();
        let found = store.blobs.get(&blob.digest);
        Ok(found.map(|(bytes, modified)| BlobInfo::new(bytes.len() as u64).with_modified(*modified)))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let found = self.lock().blobs.get(&blob.digest).map(|(bytes, _)| bytes.clone());
        let bytes = found.ok_or_else(|| Error::new(ErrorKind::NotFound, "blob not found").with("blob", blob.digest))?;
        Ok(stream_of(match range {
            Some(range) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end).max(at(range.start)))
            }
            None => bytes,
        }))
    }
}

#[async_trait]
impl CacheImporter for MemoryCache {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let Some(descriptor) = self.lock().caches.get(&self.name).cloned() else {
            return Ok(None);
        };
        let document = crate::seams::read_all(self, &descriptor, Limits::default().manifest).await?;
        let manifest = load(document, self, &Limits::default()).await?;
        Ok(manifest.map(|manifest| Resolved::new(manifest, version(&descriptor))))
    }
}

#[async_trait]
impl CacheExporter for MemoryCache {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::new()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    /// A blob that is there and was not written in the last half hour is refreshed, so that no clean-up takes it.
    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        if let Some(pushed) = self.refresh(blob) {
            return Ok(pushed);
        }
        let pieces: BytesMut = from.read(blob, None).await?.try_collect().await?;
        self.overwrite(blob.digest, pieces);
        Ok(Pushed::Uploaded)
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        if manifest.is_empty() && manifest.raw_manifest().is_none() {
            return Ok(Committed::skipped());
        }
        let gone = manifest.blobs().iter().find(|blob| !self.lock().blobs.contains_key(&blob.digest));
        if let Some(blob) = gone {
            let error = Error::new(ErrorKind::Unavailable, "a blob was deleted while the cache was written");
            return Err(error.with("blob", blob.digest));
        }
        let EncodedManifest { config, manifest, .. } = manifest.encode(self.form).checked(&Limits::default())?;
        self.insert_document(config);
        let descriptor = manifest.descriptor.clone();
        self.insert_document(manifest);
        let version = self.lead_to(&descriptor, expect)?;
        Ok(Committed::new(Some(descriptor), version))
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

/// The name's document is the image's root.
#[async_trait]
impl ImageStore for MemoryCache {
    async fn root(&self) -> Result<Option<(Document, Version)>> {
        let Some(descriptor) = self.lock().caches.get(&self.name).cloned() else {
            return Ok(None);
        };
        let bytes = crate::seams::read_all(self, &descriptor, Limits::default().manifest).await?;
        let version = version(&descriptor);
        Ok(Some((Document { descriptor, bytes }, version)))
    }

    async fn put(&self, document: &Document) -> Result<()> {
        self.insert_document(document.clone());
        Ok(())
    }

    async fn put_root(&self, root: &Document, expect: Expect) -> Result<Version> {
        self.insert_document(root.clone());
        self.lead_to(&root.descriptor, expect)
    }
}

#[async_trait]
impl CacheStore for MemoryCache {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        let entry = |(name, descriptor): (&String, &Descriptor)| CacheEntry {
            descriptor: Some(descriptor.clone()),
            ..CacheEntry::new(Some(name.clone()), version(descriptor))
        };
        Ok(self.lock().caches.iter().map(entry).collect())
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        Ok(Vec::new())
    }

    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(self.named(cache.name.clone().unwrap_or_default())))
    }

    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let entry = |(digest, (bytes, modified)): (&Digest, &(Bytes, Timestamp))| {
            let version = Version::new(modified.to_string());
            Ok(BlobEntry { modified: Some(*modified), ..BlobEntry::new(*digest, bytes.len() as u64, version) })
        };
        let entries: Vec<_> = self.lock().blobs.iter().map(entry).collect();
        stream::iter(entries).boxed()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let name = cache.name.clone().unwrap_or_default();
        let mut store = self.lock();
        match store.caches.get(&name).map(version) {
            None => Ok(Deleted::Absent),
            Some(found) if found == cache.version => {
                store.caches.remove(&name);
                Ok(Deleted::Removed)
            }
            Some(_) => Err(Error::new(ErrorKind::Conflict, "the cache has changed").with("name", name)),
        }
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        let mut store = self.lock();
        match store.blobs.get(&blob.digest).map(|(_, modified)| Version::new(modified.to_string())) {
            None => Ok(Deleted::Absent),
            Some(found) if found == blob.version => {
                store.blobs.remove(&blob.digest);
                Ok(Deleted::Removed)
            }
            Some(_) => Err(Error::new(ErrorKind::Conflict, "the blob has changed").with("blob", blob.digest)),
        }
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        delete_each(self, blobs).await
    }

    async fn abort_uploads(&self, _: Timestamp) -> Result<usize> {
        Ok(0)
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("name", "which cache of the store").with_default("latest"),
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
];

/// Specs of `type=memory` name a cache of this store by `name`.
#[async_trait]
impl CacheBackend for MemoryCache {
    fn facts(&self) -> BackendFacts {
        BackendFacts::new("memory").with_attributes(ATTRIBUTES).with_naming(Naming::Attribute("name"))
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        let mut attrs = spec.attrs();
        let place = self.place(&mut attrs);
        attrs.finish()?;
        Ok(Box::new(place))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(self.written(spec)?))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<(Box<dyn CacheImporter>, Box<dyn CacheExporter>)> {
        let place = self.written(spec)?;
        Ok((Box::new(place.clone()), Box::new(place)))
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(self.written(spec)?)))
    }

    async fn probe(&self, _: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(None)
    }
}

/// Specs of `type=inline` name an image of this store by `image=memory:<name>`.
#[async_trait]
impl ImageBackend for MemoryCache {
    async fn image(&self, spec: &CacheSpec) -> Result<Option<Box<dyn ImageStore>>> {
        let mut attrs = spec.attrs();
        let Some(name) = attrs.optional("image").and_then(|image| image.strip_prefix("memory:")) else {
            return Ok(None);
        };
        attrs.finish()?;
        Ok(Some(Box::new(self.named(name))))
    }
}

impl MemoryCache {
    fn place(&self, attrs: &mut Attrs<'_>) -> Self {
        self.named(attrs.optional("name").unwrap_or("latest"))
    }

    /// The place of a spec that may say the form of what is written.
    fn written(&self, spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let (place, form) = (self.place(&mut attrs), ManifestForm::from_attrs(&mut attrs)?);
        attrs.finish()?;
        Ok(Self { form, ..place })
    }
}

fn version(descriptor: &Descriptor) -> Version {
    Version::new(descriptor.digest.to_string())
}
