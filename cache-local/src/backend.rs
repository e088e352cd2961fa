//! [`Local`]: the backend for specs of `type=local`.

use async_trait::async_trait;
use cache_core::model::Limits;
use cache_core::seams::{BackendFacts, CacheProbe, ImageBackend, ImageStore, Naming, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::attributes::{ATTRIBUTES, KIND};
use crate::image::is_layout;
use crate::{LocalConfig, LocalExporter, LocalImage, LocalImporter, LocalProbe, LocalStore};

/// Opens directories for specs of `type=local`.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_local::Local;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let spec: CacheSpec = "type=local,src=/nonexistent".parse()?;
/// let importer = Local.importer(&spec).await?;
/// assert!(importer.resolve().await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

#[async_trait]
impl CacheBackend for Local {
    fn facts(&self) -> BackendFacts {
        BackendFacts {
            attributes: ATTRIBUTES,
            naming: Some(Naming::AttributeOrDigest("tag")),
            paths: &["src", "dest"],
            import_limit: Some(Limits::BUILDKIT_IMPORT),
            ..BackendFacts::new(KIND)
        }
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(LocalImporter::new(LocalConfig::from_import_spec(spec)?)))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(LocalExporter::new(LocalConfig::from_export_spec(spec)?)))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        let importer = self.importer(&spec.as_import(ATTRIBUTES)).await?;
        Ok(Publisher { importer, exporter: self.exporter(spec).await? })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(LocalStore::new(LocalConfig::from_store_spec(spec)?))))
    }

    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(Some(Box::new(LocalProbe::new(LocalConfig::from_export_spec(spec)?))))
    }
}

/// `image` is an OCI layout when it is a directory with an `index.json`, and when it can be nothing but a path: it is
/// absolute or starts with a dot.
#[async_trait]
impl ImageBackend for Local {
    async fn image(&self, spec: &CacheSpec) -> Result<Option<Box<dyn ImageStore>>> {
        match spec.get("image") {
            Some(image) if is_layout(image).await? => {}
            _ => return Ok(None),
        }
        Ok(Some(Box::new(LocalImage::new(LocalConfig::from_image_spec(spec)?))))
    }
}
