//! [`S3`]: the backend for specs of `type=s3`.

use std::time::Duration;

use async_trait::async_trait;
use cache_core::seams::{BackendFacts, CacheProbe, Naming, Publisher};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Result};

use crate::attributes::{ATTRIBUTES, KIND};
use crate::{Environment, S3Config, S3Exporter, S3Importer, S3Probe, S3Store};

/// BuildKit relies on a present blob until it is 24 h old, and rewrites an older one (`touch_refresh`). An export may
/// take an hour more.
const GRACE: Duration = Duration::from_secs(25 * 3600);

/// Opens buckets for specs of `type=s3`.
///
/// ```
/// use cache_core::{CacheBackend, CacheSpec};
/// use cache_s3::{Environment, S3};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let s3 = S3::new(Environment::new());
/// let spec: CacheSpec = "type=s3,bucket=team,region=eu-west-1,name=main".parse()?;
/// // Nothing is sent before the importer is used.
/// let importer = s3.importer(&spec).await?;
/// # drop(importer);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct S3(Environment);

impl S3 {
    /// Opens buckets with the settings in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self(environment)
    }

    fn config(&self, spec: &CacheSpec) -> Result<S3Config> {
        S3Config::from_spec(spec, self.0.clone())
    }
}

#[async_trait]
impl CacheBackend for S3 {
    fn facts(&self) -> BackendFacts {
        BackendFacts {
            attributes: ATTRIBUTES,
            naming: Some(Naming::Attribute("name")),
            grace: GRACE,
            ..BackendFacts::new(KIND)
        }
    }

    async fn importer(&self, spec: &CacheSpec) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(S3Importer::new(self.config(spec)?)))
    }

    async fn exporter(&self, spec: &CacheSpec) -> Result<Box<dyn CacheExporter>> {
        Ok(Box::new(S3Exporter::new(self.config(spec)?)))
    }

    async fn publisher(&self, spec: &CacheSpec) -> Result<Publisher> {
        Ok(Publisher { importer: self.importer(spec).await?, exporter: self.exporter(spec).await? })
    }

    async fn store(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheStore>>> {
        Ok(Some(Box::new(S3Store::new(self.config(spec)?))))
    }

    async fn probe(&self, spec: &CacheSpec) -> Result<Option<Box<dyn CacheProbe>>> {
        Ok(Some(Box::new(S3Probe::new(self.config(spec)?))))
    }
}
