//! Loads a cache from the bytes of a manifest: tells which document it is, finds its config, and recognises images.

use std::collections::HashSet;

use bytes::Bytes;

use super::inline;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{CacheConfig, CacheManifest, Document, ManifestForm, Parsed, Shape};
use crate::model::{Descriptor, Digest, Limits, MediaType};
use crate::seams::{BlobProvider, read_all};

/// The media types of image configs.
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Reads the cache of a manifest in a registry or a directory; `None` for an image without a cache.
///
/// The rules are BuildKit's: the type is told from the body, any entry with the cache config's media type is the
/// config, and a document without one is an image or an index of images, whose configs may hold records.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`] if a document is malformed, [`ErrorKind::DigestMismatch`] if the config does not
/// match the manifest, and the errors of `blobs`.
pub async fn load(document: Bytes, blobs: &dyn BlobProvider, limits: &Limits) -> Result<Option<CacheManifest>> {
    let Parsed { media_type, shape } = Parsed::decode(&document)?;
    let (config, layers, form) = match shape {
        Shape::Index { manifests } => {
            let (configs, layers): (Vec<_>, Vec<_>) =
                manifests.into_iter().partition(|entry| entry.media_type == MediaType::CACHE_CONFIG);
            let form = if media_type == MediaType::OCI_INDEX { ManifestForm::Index } else { ManifestForm::DockerList };
            (configs.into_iter().next_back(), layers, form)
        }
        Shape::Manifest { config, layers } => {
            let config = config.filter(|config| config.media_type == MediaType::CACHE_CONFIG);
            (config.map(|config| *config), layers, ManifestForm::ImageManifest)
        }
    };
    let Some(config) = config else {
        return load_inline(document, blobs, limits).await;
    };
    let bytes =
        read_all(blobs, &config, limits.config).await.map_err(|error| error.with("document", "cache config"))?;
    let manifest = CacheManifest::new(CacheConfig::decode(&bytes)?, layers);
    let (config, document) = (Document { descriptor: config, bytes }, Document::new(media_type, document));
    Ok(Some(manifest.with_documents(config, form, document)))
}

/// Whether a manifest is that of a cache, rather than of an image, with or without inline records.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`] when it is not a manifest.
pub fn is_cache(document: &[u8]) -> Result<bool> {
    let is_config = |entry: &Descriptor| entry.media_type == MediaType::CACHE_CONFIG;
    Ok(match Parsed::decode(document)?.shape {
        Shape::Index { manifests } => manifests.iter().any(is_config),
        Shape::Manifest { config, .. } => config.as_deref().is_some_and(is_config),
    })
}

/// The blobs that a manifest names, without its config.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`] when it is not a manifest.
pub fn named(document: &[u8]) -> Result<Vec<Descriptor>> {
    Ok(match Parsed::decode(document)?.shape {
        Shape::Index { manifests } => manifests,
        Shape::Manifest { layers, .. } => layers,
    })
}

/// Collects the images below `document`, each once, and joins their records.
async fn load_inline(document: Bytes, blobs: &dyn BlobProvider, limits: &Limits) -> Result<Option<CacheManifest>> {
    let mut caches = Vec::new();
    let mut seen = HashSet::from([Digest::sha256(&document)]);
    let mut todo: Vec<Descriptor> = Vec::new();
    let mut next = Some(document);
    while let Some(bytes) = next {
        match Parsed::decode(&bytes)?.shape {
            Shape::Manifest { config: Some(config), layers } if !layers.is_empty() => {
                caches.extend(extract(Digest::sha256(&bytes), *config, layers, blobs, limits).await?);
            }
            Shape::Manifest { .. } => {}
            Shape::Index { manifests } => {
                todo.extend(manifests.into_iter().rev().filter(|entry| seen.insert(entry.digest)));
            }
        }
        if seen.len() > limits.images {
            return Err(inline::too_many(limits.images));
        }
        next = match todo.pop() {
            Some(entry) => Some(read_nested(blobs, &entry, limits).await?),
            None => None,
        };
    }
    inline::join(caches)
}

/// The records in an image's config; `None` for other things (charts, signatures, SBOMs), whose config may be anything.
async fn extract(
    manifest: Digest,
    config: Descriptor,
    layers: Vec<Descriptor>,
    blobs: &dyn BlobProvider,
    limits: &Limits,
) -> Result<Option<CacheManifest>> {
    let is_image = matches!(config.media_type.as_str(), "" | OCI_CONFIG | DOCKER_CONFIG);
    let found = match read_all(blobs, &config, limits.config).await {
        Ok(bytes) => inline::extract(manifest, &bytes, layers),
        Err(error) => Err(error),
    };
    match found {
        Err(error) if !is_image && is_of_content(error.kind()) => Ok(None),
        found => found,
    }
}

/// Whether the content is invalid, so that a retry does not help.
fn is_of_content(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidManifest | ErrorKind::LimitExceeded | ErrorKind::NotFound)
}

async fn read_nested(blobs: &dyn BlobProvider, entry: &Descriptor, limits: &Limits) -> Result<Bytes> {
    let bytes = read_all(blobs, entry, limits.manifest).await;
    bytes.map_err(|error| match error.kind() {
        ErrorKind::LimitExceeded => Error::new(
            ErrorKind::InvalidManifest,
            "index names something that is neither a cache config nor an image manifest",
        )
        .with("blob", entry.digest)
        .with("mediaType", &entry.media_type)
        .with_source(error),
        _ => error,
    })
}
