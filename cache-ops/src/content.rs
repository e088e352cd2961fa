//! [`EntryContent`]: whether an entry of a store is a cache, an image or something else.

use cache_core::seams::CacheEntry;
use cache_core::{CacheImporter, CacheStore, MediaType, Result};
use serde::Serialize;

use crate::listed::{is_of_content, read_listed};
use crate::reach::children;

/// What an entry of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EntryContent {
    /// A cache, sound or not.
    Cache,
    /// An image, or an index of images, with an inline cache: its configs contain records.
    ImageWithCache,
    /// An image or an index of images.
    Image,
    /// Something else: a chart, a signature, a list of parts.
    Other,
    /// Nothing: the manifest does not exist.
    Missing,
    /// Something that cannot be read.
    Unreadable,
}

impl EntryContent {
    /// Finds out what an entry of a store is.
    ///
    /// # Errors
    /// Only if the store does not answer, or refuses.
    pub async fn of(store: &dyn CacheStore, entry: &CacheEntry) -> Result<Self> {
        match look(store, entry).await {
            Err(error) if is_of_content(&error) => Ok(Self::Unreadable),
            content => content,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::ImageWithCache => "image with cache",
            Self::Image => "image",
            Self::Other => "other",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        }
    }
}

async fn look(store: &dyn CacheStore, entry: &CacheEntry) -> Result<EntryContent> {
    let importer = store.open(entry).await?;
    let Some(listed) = &entry.descriptor else {
        // A store that lists no manifests keeps nothing but caches under its names.
        return Ok(if importer.resolve().await?.is_some() { EntryContent::Cache } else { EntryContent::Missing });
    };
    let Some(document) = read_listed(&*importer, listed).await? else { return Ok(EntryContent::Missing) };
    let children = children(&document.bytes)?;
    let has = |media_type: &MediaType| children.iter().any(|child| child.media_type == *media_type);
    if has(&MediaType::CACHE_CONFIG) {
        return Ok(EntryContent::Cache);
    }
    let has_image = children.iter().any(|child| child.media_type.is_manifest())
        || has(&MediaType::OCI_CONFIG)
        || has(&MediaType::from(DOCKER_CONFIG));
    let has_records = has_image && has_records(&*importer).await?;
    Ok(match (has_image, has_records) {
        (true, true) => EntryContent::ImageWithCache,
        (true, false) => EntryContent::Image,
        _ => EntryContent::Other,
    })
}

/// The media type of a Docker image's config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Whether the configs of an image hold records. An image whose configs cannot be read is one all the same.
async fn has_records(image: &dyn CacheImporter) -> Result<bool> {
    match image.resolve().await {
        Ok(found) => Ok(found.is_some()),
        Err(error) if is_of_content(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use cache_core::manifest::Document;
    use cache_core::seams::ImageStore as _;
    use cache_core::{Digest, Expect};
    use cache_memory::MemoryCache;

    use super::*;

    async fn content(document: &str, media_type: MediaType) -> EntryContent {
        let store = MemoryCache::new();
        let _ = store.insert("{}");
        let document = Document::new(media_type, document.to_owned());
        store.put_root(&document, Expect::Any).await.unwrap();
        let entry = store.caches().await.unwrap().remove(0);
        EntryContent::of(&store, &entry).await.unwrap()
    }

    fn manifest(config: &str) -> String {
        let digest = Digest::sha256(b"{}");
        format!(r#"{{"config":{{"mediaType":"{config}","digest":"{digest}","size":2}},"layers":[]}}"#)
    }

    #[tokio::test]
    async fn an_entry_is_a_cache_an_image_or_something_else() {
        for (config, expected) in [
            (MediaType::CACHE_CONFIG.as_str(), EntryContent::Cache),
            (MediaType::OCI_CONFIG.as_str(), EntryContent::Image),
            (DOCKER_CONFIG, EntryContent::Image),
            ("application/vnd.cncf.helm.config.v1+json", EntryContent::Other),
        ] {
            assert_eq!(content(&manifest(config), MediaType::OCI_MANIFEST).await, expected, "{config}");
        }
        assert_eq!(content("{", MediaType::OCI_MANIFEST).await, EntryContent::Unreadable);
        assert_eq!(content(r#"{"schemaVersion":1,"fsLayers":[]}"#, MediaType::default()).await, EntryContent::Other);
    }

    #[tokio::test]
    async fn an_entry_without_its_manifest_is_missing() {
        let store = MemoryCache::new();
        let document = Document::new(MediaType::OCI_MANIFEST, manifest(MediaType::CACHE_CONFIG.as_str()));
        store.put_root(&document, Expect::Any).await.unwrap();
        store.lose(&document.descriptor.digest);
        let entry = store.caches().await.unwrap().remove(0);
        assert_eq!(EntryContent::of(&store, &entry).await.unwrap(), EntryContent::Missing);
    }
}
