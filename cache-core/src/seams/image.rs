//! Access to images in a store, for caches inside of them.

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::Document;
use crate::seams::{BlobProvider, Expect, Version};
use crate::spec::CacheSpec;

/// One image in a store, by its name: a tag of a registry, an entry of an OCI layout.
///
/// Documents below the root are read as blobs, by descriptors that other documents of the image hold; the media type
/// tells a store that keeps manifests apart from blobs which of the two it is. Layers are never written, because an
/// inline cache is only about layers that the image has.
///
/// ```
/// use cache_core::seams::ImageStore;
/// use cache_core::manifest::Document;
/// use cache_core::{Expect, MediaType};
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let image = MemoryCache::new();
/// let root = Document::new(MediaType::OCI_MANIFEST, r#"{"schemaVersion":2,"layers":[]}"#);
/// let version = image.put_root(&root, Expect::Absent).await?;
/// let (found, state) = image.root().await?.expect("it was just written");
/// assert_eq!((found, state), (root, version));
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait ImageStore: BlobProvider {
    /// Reads the document that the name points to, a manifest or an index of manifests, and the version of the name;
    /// `None` when the name does not exist.
    ///
    /// It is a call of its own because no descriptor leads to the root, and because the state has to be that of the
    /// very document that was read.
    ///
    /// # Errors
    /// Whatever the store answers, and [`ErrorKind::DigestMismatch`](crate::ErrorKind::DigestMismatch) when the
    /// document is not the one that the name promises.
    async fn root(&self) -> Result<Option<(Document, Version)>>;

    /// Makes a document present that the root leads to: an image config, a manifest, a nested index.
    ///
    /// It is idempotent, and nothing is reachable through it until [`put_root`](Self::put_root). It is not
    /// [`CacheExporter::push`](crate::CacheExporter::push), which makes blobs present and cannot write a manifest.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn put(&self, document: &Document) -> Result<()>;

    /// Writes the root and points the name to it, atomically; called once, after everything below it is present.
    ///
    /// Other properties of the name (annotations, a platform) stay.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the name is not as `expect` says.
    async fn put_root(&self, root: &Document, expect: Expect) -> Result<Version>;
}

/// A kind of place that holds images: opens the one that a spec of `type=inline` names.
///
/// ```
/// use cache_core::seams::ImageBackend;
/// use cache_core::CacheSpec;
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let places = MemoryCache::new();
/// let elsewhere: CacheSpec = "type=inline,image=ghcr.io/team/app:main".parse()?;
/// assert!(places.image(&elsewhere).await?.is_none());
/// let here: CacheSpec = "type=inline,image=memory:app".parse()?;
/// assert!(places.image(&here).await?.is_some());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait ImageBackend: Send + Sync + 'static {
    /// Opens the image that the attribute `image` names; `None` when it names nothing of this kind of place.
    ///
    /// Every other attribute is the backend's own, and one that it does not know is an error. Nothing is created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for a missing, unknown or bad attribute.
    async fn image(&self, spec: &CacheSpec) -> Result<Option<Box<dyn ImageStore>>>;
}
