//! Images, for inline caches: a name points to the root of an image.

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::seams::{ImageBackend, ImageStore};
use cache_core::{CacheSpec, Expect, Result, Version, read_all};

use crate::MemoryCache;
use crate::cache::version;

/// The document that the name points to is the root of the image.
#[async_trait]
impl ImageStore for MemoryCache {
    async fn root(&self) -> Result<Option<(Document, Version)>> {
        let Some(descriptor) = self.lock().caches.get(&self.name).cloned() else {
            return Ok(None);
        };
        let bytes = read_all(self, &descriptor, Limits::default().manifest).await?;
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
