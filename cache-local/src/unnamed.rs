//! Finds manifests of caches in a directory that no entry of `index.json` names.

use std::collections::HashSet;

use cache_core::json::JsonObject;
use cache_core::model::Limits;
use cache_core::seams::CacheEntry;
use cache_core::{Descriptor, Digest, MediaType, Result, Timestamp, Version};

use crate::index::Entry;
use crate::layout::{Layout, modified, read_if_object};
use crate::walk::{BlobFile, Walk};

/// The media type of a manifest, if it is that of a cache.
fn type_of_cache(bytes: &[u8]) -> Option<MediaType> {
    const TYPE: &str = "mediaType";
    let document = JsonObject::decode(bytes).ok()?;
    let config: Option<JsonObject> = document.field("config").ok()?;
    let manifests: Vec<JsonObject> = document.field("manifests").ok()?.unwrap_or_default();
    let is_config = |named: &JsonObject| named.field(TYPE).ok().flatten() == Some(MediaType::CACHE_CONFIG);
    config.iter().chain(&manifests).find(|named| is_config(named))?;
    let unnamed = if config.is_some() { MediaType::OCI_MANIFEST } else { MediaType::OCI_INDEX };
    Some(document.field::<MediaType>(TYPE).ok()?.filter(|named| !named.is_empty()).unwrap_or(unnamed))
}

/// Finds unnamed caches, the newest first. Reads the beginning of every blob, and the whole of those that begin like a
/// document.
pub(crate) fn unnamed(layout: &Layout, limits: &Limits) -> Result<Vec<CacheEntry>> {
    let index = layout.read_index(limits.config)?;
    let entries = index.iter().flat_map(|found| found.index.entries());
    let named: HashSet<Digest> = entries.filter_map(Entry::descriptor).map(|manifest| manifest.digest).collect();
    let mut found: Vec<CacheEntry> = Vec::new();
    for blob in Walk::new(layout)? {
        let blob = blob?;
        if named.contains(&blob.digest) || blob.metadata.len() > limits.manifest {
            continue;
        }
        found.extend(manifest_of_cache(layout, &blob, limits)?.map(|media_type| entry(&blob, media_type)));
    }
    let order = |entry: &CacheEntry| (entry.modified.unwrap_or(Timestamp::ZERO), entry.version.as_str().to_owned());
    found.sort_by_cached_key(|entry| std::cmp::Reverse(order(entry)));
    Ok(found)
}

fn entry(blob: &BlobFile, media_type: MediaType) -> CacheEntry {
    let mut entry = CacheEntry::new(None, Version::new(blob.digest.to_string()));
    entry.descriptor = Some(Descriptor::new(media_type, blob.digest, blob.metadata.len()));
    entry.modified = modified(&blob.metadata);
    entry
}

/// The media type of a blob if it is the manifest of a cache.
fn manifest_of_cache(layout: &Layout, blob: &BlobFile, limits: &Limits) -> Result<Option<MediaType>> {
    let bytes = read_if_object(layout, &blob.digest, limits.manifest)?;
    Ok(bytes.and_then(|bytes| type_of_cache(&bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use cache_core::CacheStore as _;

    use crate::tests::{age, blob_path, files, write};
    use crate::{LocalConfig, LocalStore};

    #[tokio::test]
    async fn manifests_of_caches_without_an_entry_are_found_the_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let config = LocalConfig::new(dir.path());
        let mut written = Vec::new();
        for (n, layer) in ["one", "two", "three"].into_iter().enumerate() {
            let manifest = write(config.clone(), layer).await.descriptor.unwrap().digest;
            age(&blob_path(dir.path(), &manifest), Duration::from_secs(60 * (3 - n as u64)));
            written.push(manifest);
        }
        fs::write(dir.path().join("blobs/sha256").join("0".repeat(64)), "{}").unwrap();
        let store = LocalStore::new(config);
        let found = store.unnamed().await.unwrap();
        let digests: Vec<_> = found.iter().map(|entry| entry.descriptor.as_ref().unwrap().digest).collect();
        assert_eq!(digests, [written[1], written[0]]);
        assert!(store.open(&found[0]).await.unwrap().resolve().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_missing_directory_has_no_unnamed_caches() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(LocalConfig::new(dir.path().join("none")));
        assert!(store.unnamed().await.unwrap().is_empty());
        assert!(files(dir.path()).is_empty());
    }
}
