//! [`RegistryImage`]: an image in a registry, into which a cache can be written.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::json::JsonObject;
use cache_core::manifest::Document;
use cache_core::seams::{BlobInfo, ImageStore};
use cache_core::{BlobProvider, BlobStream, Descriptor, Expect, MediaType, Result, Version};

use crate::client::Client;
use crate::importer::Root;
use crate::{RegistryConfig, RegistryExporter, RegistryImporter};

/// An image in a registry.
///
/// * `repo:tag` is the image of the tag. The tag is moved to the new image.
/// * `repo:tag@digest` is the image with the digest. The tag is moved if it points to that image.
/// * `repo@digest` is the image with the digest. No tag is moved: the new image can be read by its own digest.
///
/// The condition is checked as by a [`RegistryExporter`]: no registry has conditional writes.
#[derive(Debug)]
pub struct RegistryImage {
    /// Its tag, if it was read by one.
    tag: Option<String>,
    importer: RegistryImporter,
    exporter: RegistryExporter,
}

impl RegistryImage {
    /// The image that `config` names; nothing is sent before the first call.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let tag = config.parsed().tag().map(str::to_owned);
        let client = Arc::new(Client::new(config));
        let importer = RegistryImporter::over(Arc::clone(&client));
        Self { tag, importer, exporter: RegistryExporter::over(client) }
    }
}

#[async_trait]
impl BlobProvider for RegistryImage {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.importer.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        self.importer.read(blob, range).await
    }
}

#[async_trait]
impl ImageStore for RegistryImage {
    async fn root(&self) -> Result<Option<(Document, Version)>> {
        let Some(Root { media_type, digest, bytes }) = self.importer.root().await? else { return Ok(None) };
        let media_type = media_type_of(&bytes, media_type.as_deref());
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(Some((Document { descriptor, bytes }, Version::new(digest.to_string()))))
    }

    async fn put(&self, document: &Document) -> Result<()> {
        self.exporter.put(document).await
    }

    /// If the registry notices that a document was deleted after it was put, the error is
    /// [`Unavailable`](cache_core::ErrorKind::Unavailable).
    async fn put_root(&self, root: &Document, expect: Expect) -> Result<Version> {
        match &self.tag {
            Some(tag) => self.exporter.write(tag, tag, root, &expect).await,
            // Nothing is replaced, so there is no condition to hold.
            None => {
                self.exporter.put(root).await?;
                Ok(Version::new(root.descriptor.digest.to_string()))
            }
        }
    }
}

/// The media type of a manifest or an index: by its field, else by the registry's header, else by its form.
///
/// A registry refuses a manifest under another media type than its field, and some send `text/plain` for it.
fn media_type_of(document: &Bytes, said: Option<&str>) -> MediaType {
    let json = JsonObject::decode(document).unwrap_or_default();
    let own: Option<MediaType> = json.field("mediaType").ok().flatten();
    let said = said.and_then(|said| said.split(';').next()).map(|said| MediaType::from(said.trim().to_owned()));
    let known = own.into_iter().chain(said).find(MediaType::is_manifest);
    known.unwrap_or_else(|| {
        let is_index = json.field::<Vec<Descriptor>>("manifests").is_ok_and(|entries| entries.is_some());
        if is_index { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_from_the_document_or_the_header_or_the_form() {
        let of = |document: &'static str, said| media_type_of(&Bytes::from_static(document.as_bytes()), said);
        let docker = r#"{"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}"#;
        assert_eq!(of(docker, Some("application/vnd.oci.image.manifest.v1+json")), MediaType::DOCKER_MANIFEST);
        assert_eq!(of("{}", Some("application/vnd.oci.image.index.v1+json; charset=utf-8")), MediaType::OCI_INDEX);
        assert_eq!(of(r#"{"mediaType":1}"#, Some("text/plain")), MediaType::OCI_MANIFEST);
        assert_eq!(of(r#"{"manifests":[]}"#, Some("application/octet-stream")), MediaType::OCI_INDEX);
        assert_eq!(of("no JSON", None), MediaType::OCI_MANIFEST);
    }
}
