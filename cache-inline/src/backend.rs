//! [`Inline`]: the backend for specs of `type=inline`.

use async_trait::async_trait;
use cache_core::seams::{BackendFacts, CacheProbe, ImageBackend, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, ErrorKind, Result};

use crate::InlineExporter;
use crate::attributes::{ATTRIBUTES, KIND};
use crate::error::inline;

/// Opens images for specs of `type=inline`, with the backends that it is given.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_memory::MemoryCache;
/// use cache_inline::Inline;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let inline = Inline::new().with(MemoryCache::new());
/// let spec: CacheSpec = "type=inline,image=memory:app".parse()?;
/// inline.exporter(&spec).await?;
///
/// let error = inline.importer(&spec).await.err().expect("an image is read as type=memory here");
/// assert!(error.to_string().contains("type=inline is export-only"));
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Inline {
    places: Vec<Box<dyn ImageBackend>>,
}

impl Inline {
    /// No backends for images yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend that has images; the first one that accepts the attribute `image` opens it.
    #[must_use]
    pub fn with(mut self, place: impl ImageBackend) -> Self {
        self.places.push(Box::new(place));
        self
    }
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inline").field("places", &self.places.len()).finish()
    }
}

#[async_trait]
impl CacheBackend for Inline {
    fn facts(&self) -> BackendFacts {
        BackendFacts { attributes: ATTRIBUTES, is_image: true, ..BackendFacts::new(KIND) }
    }

    /// An error, as in BuildKit: an inline cache is read from the place of its image.
    async fn importer(&self, _: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        let message = "type=inline is export-only; use type=registry or type=local with the image";
        Err(inline(ErrorKind::InvalidSpec, message))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        spec.attrs().required("image", "image")?;
        for place in &self.places {
            if let Some(image) = place.image(spec).await? {
                return Ok(Box::new(InlineExporter::new(image)));
            }
        }
        let error =
            inline(ErrorKind::InvalidSpec, "no backend that is built in has such an image").with("attribute", "image");
        Err(error.with_hint(
            "image=./DIR names an OCI layout, a directory with an index.json; image=HOST/NAME:TAG a reference",
        ))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        Ok(Publisher { importer: self.importer(spec).await?, exporter: self.exporter(spec).await? })
    }

    /// `None`: the places of images have stores of their own.
    async fn store(&self, _: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(None)
    }

    async fn probe(&self, _: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(None)
    }
}
