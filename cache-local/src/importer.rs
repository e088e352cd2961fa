//! [`LocalImporter`]: reads a cache from a directory, without a lock and without creating anything.

use std::ops::Range;

use async_trait::async_trait;
use cache_core::model::Limits;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheImporter, Descriptor, Digest, Error, ErrorKind, MediaType, Resolved, Result,
    Version, load, read_all,
};

use crate::LocalConfig;
use crate::config::Selection;
use crate::error::{at, on_path};
use crate::index::{Entry, Index};
use crate::layout::{Layout, modified};
use crate::reader;
use crate::task::blocking;

/// How often `index.json` is read again because the manifest it named was gone.
const TRIES: usize = 3;

/// A cache in a directory, for reading; also an image with an inline cache in an OCI layout.
///
/// If the directory, `index.json` or the tag does not exist, there is no cache. Nothing is created, and no lock is
/// taken: writers replace `index.json` atomically, and while BuildKit rewrites it, it is read again.
///
/// ```
/// use cache_core::CacheImporter;
/// use cache_local::{LocalConfig, LocalImporter};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let importer = LocalImporter::new(LocalConfig::new("/nonexistent"));
/// assert!(importer.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct LocalImporter {
    config: LocalConfig,
    layout: Layout,
    /// The entry that `index.json` had when the store was listed.
    listed: Option<Digest>,
}

impl LocalImporter {
    /// An importer of the cache in `config`; nothing is read before [`resolve`](CacheImporter::resolve).
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let layout = Layout::new(config.root());
        Self { config, layout, listed: None }
    }

    /// A reader of a manifest that must exist.
    pub(crate) fn listed(config: LocalConfig, manifest: Digest) -> Self {
        Self { listed: Some(manifest), ..Self::new(config) }
    }

    async fn find(&self) -> Result<Option<Descriptor>> {
        let (layout, limits) = (self.layout.clone(), self.config.limits());
        if let Some(manifest) = self.listed {
            return blocking(move || existing(&layout, manifest)).await.map(Some);
        }
        match self.config.selection()? {
            Selection::Digest(digest) => blocking(move || stored(&layout, digest)).await,
            selection => blocking(move || find(&layout, &selection, &limits)).await,
        }
    }
}

#[async_trait]
impl CacheImporter for LocalImporter {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let Some(manifest) = self.find().await? else { return Ok(None) };
        let limits = self.config.limits();
        let about = |error: Error| on_path(error, self.layout.root()).with("manifest", manifest.digest);
        let document = read_all(self, &manifest, limits.manifest).await.map_err(about)?;
        let cache = load(document, self, &limits).await.map_err(about)?;
        Ok(cache.map(|cache| Resolved { manifest: cache, version: Version::new(manifest.digest.to_string()) }))
    }
}

#[async_trait]
impl BlobProvider for LocalImporter {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let (layout, digest) = (self.layout.clone(), blob.digest);
        let found = blocking(move || layout.blob_metadata(&digest)).await?;
        Ok(found.map(|metadata| BlobInfo { modified: modified(&metadata), ..BlobInfo::new(metadata.len()) }))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        reader::open(self.layout.clone(), blob.clone(), range).await
    }
}

/// The manifest of the entry that is selected, with the entry's media type. Its size is that of its file, as in
/// BuildKit, whatever the index has.
pub(crate) fn find(layout: &Layout, selection: &Selection, limits: &Limits) -> Result<Option<Descriptor>> {
    let mut missing = None;
    for _ in 0..TRIES {
        let Some(Descriptor { media_type, digest, .. }) = named(layout, selection, limits)? else { return Ok(None) };
        if let Some(found) = stored(layout, digest)? {
            return Ok(Some(Descriptor { media_type, ..found }));
        }
        // A torn read can mix two digests, and a reset can delete the manifest that was just replaced, so look again.
        if missing.replace(digest) == Some(digest) {
            break;
        }
    }
    missing.map_or(Ok(None), |digest| Err(gone(layout, digest)))
}

/// The descriptor that `index.json` has for the selection.
fn named(layout: &Layout, selection: &Selection, limits: &Limits) -> Result<Option<Descriptor>> {
    let Some(snapshot) = layout.read_index(limits.config)? else { return Ok(None) };
    let Some(entry) = selection.entry(&snapshot.index) else { return Ok(None) };
    let unreadable =
        || at(ErrorKind::InvalidManifest, "the entry of index.json is no valid descriptor", &layout.index_path());
    entry.descriptor().map(|descriptor| Some(descriptor.clone())).ok_or_else(unreadable)
}

fn stored(layout: &Layout, digest: Digest) -> Result<Option<Descriptor>> {
    let found = layout.blob_metadata(&digest)?;
    // The type is determined from the document itself.
    Ok(found.map(|metadata| Descriptor::new(MediaType::default(), digest, metadata.len())))
}

fn existing(layout: &Layout, digest: Digest) -> Result<Descriptor> {
    stored(layout, digest)?.ok_or_else(|| gone(layout, digest))
}

fn gone(layout: &Layout, digest: Digest) -> Error {
    at(ErrorKind::NotFound, "the manifest that index.json names is gone", &layout.index_path())
        .with("manifest", digest)
        .with_hint("repair looks for a manifest in the directory to point the name to")
}

impl Selection {
    pub(crate) fn entry<'a>(&self, index: &'a Index) -> Option<&'a Entry> {
        match self {
            Self::Tag(tag) => index.find(tag),
            Self::Default => index.find_default(),
            Self::Digest(digest) => index.find_digest(digest),
        }
    }
}

#[cfg(test)]
mod tests;
