//! Contributions in a registry: tags next to the tag of the cache.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::seams::{Committed, ContributionName, Contributions, Deleted};
use cache_core::{CacheImporter, CacheManifest, Result, Version};

use crate::RegistryStore;
use crate::auth::Scopes;
use crate::exporter::RegistryExporter;
use crate::importer::RegistryImporter;
use crate::store::manifest_digest;

/// The annotation that makes the manifest of a contribution one of its own, so that it can be deleted by its digest.
const ANNOTATION: &str = "buildcache.contribution";

#[async_trait]
impl Contributions for RegistryExporter {
    fn cache(&self) -> &str {
        self.client().config().parsed().tag().unwrap_or_default()
    }

    async fn list(&self) -> Result<Vec<ContributionName>> {
        let tags = RegistryStore::over(Arc::clone(self.client())).tags().await?;
        let names = tags.iter().filter_map(|tag| ContributionName::parse(tag));
        Ok(names.filter(|name| name.is_of(self.cache())).collect())
    }

    async fn read(&self, name: &ContributionName) -> Result<Option<CacheManifest>> {
        let importer = RegistryImporter::over(self.client().at_tag(name.as_str()).into());
        Ok(importer.resolve().await?.map(|resolved| resolved.manifest))
    }

    async fn write(&self, name: &ContributionName, manifest: &CacheManifest) -> Result<Committed> {
        let encoded = manifest.encode(self.client().config().form()).checked(&self.client().config().limits())?;
        let document = named(&encoded.manifest, name);
        self.put_as_blob(&encoded.config).await?;
        self.put_at(name.as_str(), &document).await?;
        let version = Version::new(document.descriptor.digest.to_string());
        Ok(Committed::new(Some(document.descriptor), version))
    }

    async fn remove(&self, name: &ContributionName) -> Result<Deleted> {
        let scopes = Scopes::pull(self.client().config().parsed().repository());
        let found = self.client().retrying(|| manifest_digest(self.client(), &scopes, name.as_str())).await?;
        let Some(found) = found else { return Ok(Deleted::Absent) };
        RegistryStore::over(Arc::clone(self.client())).delete_manifest(&found.digest.to_string()).await
    }
}

/// The manifest with the name of the contribution in it.
fn named(manifest: &Document, name: &ContributionName) -> Document {
    let own = format!(r#","annotations":{{"{ANNOTATION}":"{name}"}}}}"#);
    let bytes = manifest.bytes.trim_ascii_end();
    let bytes = bytes.strip_suffix(b"}").unwrap_or(bytes);
    Document::new(manifest.descriptor.media_type.clone(), [bytes, own.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use cache_core::{MediaType, Timestamp};

    use super::*;

    #[test]
    fn the_manifest_of_a_contribution_is_one_of_its_own() {
        let manifest = Document::new(MediaType::OCI_MANIFEST, r#"{"schemaVersion":2}"#);
        let names = [(); 2].map(|()| ContributionName::new("main", Timestamp::now()));
        let [one, other] = names.each_ref().map(|name| named(&manifest, name));
        assert_ne!(one.descriptor.digest, other.descriptor.digest);
        let parsed: serde_json::Value = serde_json::from_slice(&one.bytes).unwrap();
        assert_eq!(parsed["annotations"][ANNOTATION], names[0].as_str());
        assert_eq!(parsed["schemaVersion"], 2);
    }
}
