//! [`RegistryImporter`]: reads a cache from a registry.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::graph::{is_cache, named};
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheImporter, Descriptor, Digest, Error, ErrorKind, Resolved, Result, Version, load,
};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};

use crate::RegistryConfig;
use crate::auth::Scopes;
use crate::client::{Client, Request, digest_of, told_length};
use crate::error;
use crate::reader;

/// The media types of documents that can hold a cache, and any other.
pub(crate) const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, */*";

const MESSAGE: &str = "cannot read the manifest";

/// A cache in a registry, for reading; also an image with an inline cache.
///
/// If the repository, the tag or the digest does not exist, there is no cache. Errors that may pass are retried, and a
/// stream that breaks is resumed where it stopped. Nothing is sent before the first call, and no right but `pull` is
/// requested.
pub struct RegistryImporter {
    client: Arc<Client>,
    scopes: Scopes,
    /// An image is an error, and not looked into for inline records.
    refuses_images: bool,
}

impl RegistryImporter {
    /// An importer of the cache in `config`; nothing is sent before [`resolve`](CacheImporter::resolve).
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        Self::over(Arc::new(Client::new(config)))
    }

    /// A reader that shares a session.
    pub(crate) fn over(client: Arc<Client>) -> Self {
        let scopes = Scopes::pull(client.config().parsed().repository());
        Self { client, scopes, refuses_images: false }
    }

    /// Reads a place to which a cache is added: a tag of an image is an error.
    #[must_use]
    pub(crate) fn refusing_images(self) -> Self {
        Self { refuses_images: true, ..self }
    }

    /// Reads with these scopes, for which there is a token already.
    #[must_use]
    pub(crate) fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// The blobs in the present manifest, without its config.
    pub(crate) async fn named(&self) -> Result<Vec<Descriptor>> {
        let Some(Root { bytes, .. }) = self.root().await? else { return Ok(Vec::new()) };
        named(&bytes).map_err(|error| self.client.with_context(error))
    }

    /// The document at the reference, and its media type by the registry.
    pub(crate) async fn root(&self) -> Result<Option<Root>> {
        let Some((media_type, bytes)) = self.client.retrying(|| self.manifest()).await? else { return Ok(None) };
        let digest = self.client.config().parsed().digest().unwrap_or_else(|| Digest::sha256(&bytes));
        Ok(Some(Root { media_type, digest, bytes }))
    }

    /// The manifest, which a digest may also find among the blobs.
    async fn manifest(&self) -> Result<Option<(Option<String>, Bytes)>> {
        let reference = self.client.config().parsed();
        let mut response = self.get(&format!("manifests/{}", reference.selector())).await?;
        if let (StatusCode::NOT_FOUND, Some(digest)) = (response.status(), reference.digest()) {
            response = self.get(&format!("blobs/{digest}")).await?;
        }
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let media_type = media_type.map(str::to_owned);
                Ok(Some((media_type, self.read(response).await?)))
            }
            _ => Err(self.client.refused(response, MESSAGE).await),
        }
    }

    async fn get(&self, path: &str) -> Result<Response> {
        let request = Request::new(Method::GET, self.client.url(path).await?, &self.scopes, MESSAGE);
        self.client.send(request.accept(MANIFEST_TYPES)).await
    }

    /// Reads a manifest and checks it against every expected digest.
    async fn read(&self, response: Response) -> Result<Bytes> {
        let promised = [self.client.config().parsed().digest(), digest_of(&response)];
        let bytes = self.client.read(response, self.client.config().limits().manifest, MESSAGE).await?;
        for promised in promised.into_iter().flatten() {
            let found = digest_as(&promised, &bytes);
            if found != promised {
                let error = error::new(ErrorKind::DigestMismatch, "manifest does not match its digest");
                return Err(self.client.with_context(error.with("manifest", promised).with("got", found)));
            }
        }
        Ok(bytes)
    }
}

/// The document at a reference.
pub(crate) struct Root {
    /// The registry's value, unchecked.
    pub(crate) media_type: Option<String>,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

/// Hashes with the algorithm of another digest.
pub(crate) fn digest_as(promised: &Digest, bytes: &[u8]) -> Digest {
    let mut digester = promised.digester();
    digester.update(bytes);
    digester.finish()
}

#[async_trait]
impl CacheImporter for RegistryImporter {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let Some(Root { digest, bytes, .. }) = self.root().await? else { return Ok(None) };
        let about = |error: Error| self.client.with_context(error).with("manifest", digest);
        if self.refuses_images && !is_cache(&bytes).map_err(about)? {
            let error = error::new(ErrorKind::Unsupported, "the tag holds an image, and a cache would replace it");
            return Err(
                about(error.with_image()).with_hint("write the cache to another tag, or delete the image first")
            );
        }
        let cache = load(bytes, self, &self.client.config().limits()).await.map_err(about)?;
        Ok(cache.map(|manifest| Resolved { manifest, version: Version::new(digest.to_string()) }))
    }
}

#[async_trait]
impl BlobProvider for RegistryImporter {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.client.retrying(|| stat(&self.client, &self.scopes, blob)).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        reader::open(Arc::clone(&self.client), blob, range).await
    }
}

/// Looks up a blob; if the registry does not return its length, the size is that of the descriptor.
pub(crate) async fn stat(client: &Client, scopes: &Scopes, blob: &Descriptor) -> Result<Option<BlobInfo>> {
    let about = |error: Error| error.with("blob", blob.digest);
    let request = Request::new(Method::HEAD, reader::url(client, blob).await?, scopes, "cannot look up the blob");
    let request = request.accept(&format!("{}, */*", blob.media_type));
    let response = client.send(request.clone()).await.map_err(about)?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => Ok(Some(BlobInfo::new(told_length(&response).unwrap_or(blob.size)))),
        _ => Err(about(client.refused_head(response, request).await)),
    }
}

impl fmt::Debug for RegistryImporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryImporter").field("config", self.client.config()).finish_non_exhaustive()
    }
}
