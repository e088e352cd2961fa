//! Opens a cache of a [`MemoryCache`] from a spec.

use async_trait::async_trait;
use cache_core::manifest::ManifestForm;
use cache_core::seams::{BackendFacts, CacheProbe, Naming, Publisher};
use cache_core::spec::Attrs;
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::MemoryCache;
use crate::attributes::ATTRIBUTES;

/// The attribute `name` of `type=memory` names a cache of this store.
#[async_trait]
impl CacheBackend for MemoryCache {
    fn facts(&self) -> BackendFacts {
        BackendFacts { attributes: ATTRIBUTES, naming: Some(Naming::Attribute("name")), ..BackendFacts::new("memory") }
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

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        let place = self.written(spec)?;
        Ok(Publisher { importer: Box::new(place.clone()), exporter: Box::new(place) })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(self.written(spec)?)))
    }

    async fn probe(&self, _: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(None)
    }
}

impl MemoryCache {
    fn place(&self, attrs: &mut Attrs<'_>) -> Self {
        self.named(attrs.optional("name").unwrap_or("latest"))
    }

    /// The cache of an exporter's spec, which may set the form of the manifest.
    fn written(&self, spec: &CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let (place, form) = (self.place(&mut attrs), ManifestForm::from_attrs(&mut attrs)?);
        attrs.finish()?;
        Ok(Self { form, ..place })
    }
}
