//! [`Azblob`]: the backend for specs of `type=azblob`.

use async_trait::async_trait;
use cache_core::seams::{BackendFacts, CacheProbe, Naming, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::attributes::{ATTRIBUTES, KIND};
use crate::{AzblobConfig, AzblobExporter, AzblobImporter, AzblobProbe, AzblobStore, Environment};

/// Opens containers for specs of `type=azblob`.
///
/// ```
/// use cache_azblob::{Azblob, Environment};
/// use cache_core::{CacheBackend, CacheSpec};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let azblob = Azblob::new(Environment::new());
/// let spec: CacheSpec = "type=azblob,account_url=https://account.blob.core.windows.net".parse()?;
/// // Nothing is sent before the importer is used.
/// let importer = azblob.importer(&spec).await?;
/// # drop(importer);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Azblob(Environment);

impl Azblob {
    /// Opens containers with the settings in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self(environment)
    }

    fn config(&self, spec: &CacheSpec) -> Result<AzblobConfig> {
        AzblobConfig::from_spec(spec, self.0.clone())
    }
}

#[async_trait]
impl CacheBackend for Azblob {
    fn facts(&self) -> BackendFacts {
        BackendFacts { attributes: ATTRIBUTES, naming: Some(Naming::Attribute("name")), ..BackendFacts::new(KIND) }
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(AzblobImporter::new(self.config(spec)?)?))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(AzblobExporter::new(self.config(spec)?)?))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        Ok(Publisher { importer: self.importer(spec).await?, exporter: self.exporter(spec).await? })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(AzblobStore::new(self.config(spec)?)?)))
    }

    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        let probe = AzblobProbe::new(self.config(spec)?)?;
        Ok(Some(Box::new(probe.recommending(spec))))
    }
}
