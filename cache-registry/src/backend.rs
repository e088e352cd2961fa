//! [`Registry`]: the backend for specs of `type=registry`.

use std::path::Path;

use async_trait::async_trait;
use cache_core::model::Limits;
use cache_core::seams::{BackendFacts, CacheProbe, ImageBackend, ImageStore, Naming, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::attributes::{ATTRIBUTES, KIND};
use crate::{
    Environment, RegistryConfig, RegistryExporter, RegistryImage, RegistryImporter, RegistryProbe, RegistryStore,
};

/// Opens repositories for specs of `type=registry`.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_registry::{Environment, Registry};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new(Environment::new());
/// let spec: CacheSpec = "type=registry,ref=ghcr.io/team/app:cache".parse()?;
/// // Nothing is sent before the importer is used.
/// let importer = registry.importer(&spec).await?;
/// # drop(importer);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Registry(Environment);

impl Registry {
    /// Opens repositories with the settings in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self(environment)
    }
}

#[async_trait]
impl CacheBackend for Registry {
    fn facts(&self) -> BackendFacts {
        BackendFacts {
            attributes: ATTRIBUTES,
            naming: Some(Naming::Reference),
            import_limit: Some(Limits::BUILDKIT_IMPORT),
            is_conditional: false,
            ..BackendFacts::new(KIND)
        }
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(RegistryImporter::new(RegistryConfig::from_import_spec(spec, self.0.clone())?)))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(RegistryExporter::new(RegistryConfig::from_export_spec(spec, self.0.clone())?)))
    }

    /// If the tag is that of an image, the importer's first call fails.
    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        let config = RegistryConfig::from_import_spec(&spec.as_import(ATTRIBUTES), self.0.clone())?;
        let importer = RegistryImporter::new(config).refusing_images();
        Ok(Publisher { importer: Box::new(importer), exporter: self.exporter(spec).await? })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(RegistryStore::new(RegistryConfig::from_import_spec(spec, self.0.clone())?))))
    }

    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(Some(Box::new(RegistryProbe::new(RegistryConfig::from_export_spec(spec, self.0.clone())?))))
    }
}

/// `image` is a reference unless it is an absolute path or starts with a dot, which no reference does. Backends that
/// know more about paths have to come first.
#[async_trait]
impl ImageBackend for Registry {
    async fn image(&self, spec: &CacheSpec) -> Result<Option<Box<dyn ImageStore>>> {
        match spec.get("image") {
            Some(image) if !Path::new(image).is_absolute() && !image.starts_with('.') => {}
            _ => return Ok(None),
        }
        Ok(Some(Box::new(RegistryImage::new(RegistryConfig::from_image_spec(spec, self.0.clone())?))))
    }
}
