//! [`Gha`]: the backend for specs of `type=gha`.

use async_trait::async_trait;
use cache_core::seams::{BackendFacts, CacheProbe, Naming, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::attributes::{ATTRIBUTES, KIND};
use crate::{Environment, GhaConfig, GhaExporter, GhaImporter, GhaProbe, GhaStore};

/// Opens caches of GitHub Actions for specs of `type=gha`.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_gha::{Environment, Gha};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let gha = Gha::new(Environment::new());
/// let spec: CacheSpec = "type=gha,scope=app".parse()?;
/// let error = gha.importer(&spec).await.err().expect("this is not a runner");
/// assert!(error.hint().is_some_and(|hint| hint.contains("ACTIONS_RUNTIME_TOKEN")));
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Gha(Environment);

impl Gha {
    /// Opens caches with the settings in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self(environment)
    }

    fn config(&self, spec: &CacheSpec) -> Result<GhaConfig> {
        GhaConfig::from_spec(spec, self.0.clone())
    }
}

#[async_trait]
impl CacheBackend for Gha {
    fn facts(&self) -> BackendFacts {
        BackendFacts {
            attributes: ATTRIBUTES,
            naming: Some(Naming::AttributeOnBranch("scope")),
            ..BackendFacts::new(KIND)
        }
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(GhaImporter::new(self.config(spec)?)?))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(GhaExporter::new(self.config(spec)?)?))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        let config = self.config(spec)?;
        Ok(Publisher {
            importer: Box::new(GhaImporter::of_written_scope(config.clone())?),
            exporter: Box::new(GhaExporter::new(config)?),
        })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(GhaStore::new(GhaConfig::from_store_spec(spec, self.0.clone())?)?)))
    }

    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(Some(Box::new(GhaProbe::new(self.config(spec)?))))
    }
}
