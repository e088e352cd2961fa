//! Contributions in a bucket: indexes next to the index of the cache.

use async_trait::async_trait;
use cache_core::seams::{Committed, ContributionName, Contributions, Deleted};
use cache_core::{CacheImporter, CacheManifest, Result};
use futures_util::stream::TryStreamExt;

use crate::client::Condition;
use crate::{S3Exporter, S3Importer, listing};

#[async_trait]
impl Contributions for S3Exporter {
    fn cache(&self) -> &str {
        self.client().config().first_name()
    }

    async fn list(&self) -> Result<Vec<ContributionName>> {
        let keys = self.client().config().keys();
        let prefix = keys.manifest(&ContributionName::prefix(self.cache()));
        let mut objects = listing::objects(self.client(), prefix);
        let mut names = Vec::new();
        while let Some((key, _)) = objects.try_next().await? {
            names.extend(keys.name_at(&key).and_then(ContributionName::parse).filter(|name| name.is_of(self.cache())));
        }
        Ok(names)
    }

    async fn read(&self, name: &ContributionName) -> Result<Option<CacheManifest>> {
        let importer = S3Importer::over(self.client().named(name.as_str()));
        Ok(importer.resolve().await?.map(|resolved| resolved.manifest))
    }

    async fn write(&self, name: &ContributionName, manifest: &CacheManifest) -> Result<Committed> {
        let bytes = self.encode(manifest)?;
        let key = self.client().config().keys().manifest(name.as_str());
        let version = self.put(&key, &bytes, Condition::None).await?;
        Ok(Committed::new(None, version))
    }

    async fn remove(&self, name: &ContributionName) -> Result<Deleted> {
        let key = self.client().config().keys().manifest(name.as_str());
        self.client().retrying(|| self.client().delete(&key, None)).await?;
        Ok(Deleted::Removed)
    }
}
