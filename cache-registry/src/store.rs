//! [`RegistryStore`]: lists and deletes the caches of a repository.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{
    BlobEntry, CacheEntry, CacheImporter, CacheStore, Deleted, Descriptor, Digest, Error, ErrorKind, InvalidDigest,
    MediaType, Quota, Result, Timestamp, Version, delete_each,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_TYPE, LINK};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::auth::Scopes;
use crate::client::{Client, Request, digest_of, length_of};
use crate::error;
use crate::importer::MANIFEST_TYPES;
use crate::{RegistryConfig, RegistryImporter};

const LIST: &str = "cannot list the tags";
const LOOK: &str = "cannot look the manifest up";
const DELETE: &str = "cannot delete the manifest";
/// How many tags are asked for at once, and how many manifests are looked up at the same time.
const PAGE: u32 = 1_000;
const LOOKS: usize = 8;
/// What a list of tags may be at most, in bytes of a page and in pages: a registry that never ends is no registry.
const PAGE_LIMIT: u64 = 8 << 20;
const PAGES: usize = 1_000;

/// A repository of caches; its tags are the names.
///
/// A repository that does not exist has no caches. A registry cannot list its blobs, and removes those of no manifest
/// by itself.
pub struct RegistryStore {
    client: Arc<Client>,
    scopes: Scopes,
}

/// What a name leads to.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    descriptor: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl RegistryStore {
    /// The store that is the repository of `config`; its tag and digest mean nothing here.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let scopes = Scopes::pull(config.parsed().repository());
        Self { client: Arc::new(Client::new(config)), scopes }
    }

    async fn tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let mut next = Some(self.client.url(&format!("tags/list?n={PAGE}")).await?);
        for _ in 0..PAGES {
            let Some(url) = next else { break };
            let (page, link) = self.client.retrying(|| self.page(url.clone())).await?;
            tags.extend(page);
            // A registry that names the page it has just sent would never end.
            next = link.filter(|link| *link != url);
        }
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    async fn page(&self, url: Url) -> Result<(Vec<String>, Option<Url>)> {
        let response = self.client.send(Request::new(Method::GET, url, &self.scopes, LIST)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok((Vec::new(), None)),
            status if status.is_success() => {
                let next = next_page(&response);
                let body = self.client.read(response, PAGE_LIMIT, LIST).await?;
                let tags: Tags = serde_json::from_slice(&body).map_err(|error| {
                    self.client
                        .about(error::new(ErrorKind::Unavailable, "the list of tags is no list").with_source(error))
                })?;
                Ok((tags.tags.unwrap_or_default(), next))
            }
            _ => Err(self.client.refused(response, LIST).await),
        }
    }

    /// A tag that is gone by now is left out.
    async fn entry(&self, tag: String) -> Result<Option<CacheEntry>> {
        let found = self.client.retrying(|| manifest_digest(&self.client, &self.scopes, &tag)).await?;
        Ok(found.map(|found| {
            let mut entry = CacheEntry::new(Some(tag), Version::new(found.digest.to_string()));
            entry.descriptor = found.descriptor;
            entry
        }))
    }

    /// Deletes a tag where the registry can, and else the manifest, unless another tag leads to it.
    async fn delete(&self, tag: &str, digest: &Digest) -> Result<Deleted> {
        match self.delete_manifest(tag).await {
            Err(error) if error.kind() == ErrorKind::Unsupported || error.kind() == ErrorKind::DigestMismatch => {
                self.check_only_name(tag, digest).await?;
                self.delete_manifest(&digest.to_string()).await
            }
            deleted => deleted,
        }
    }

    async fn delete_manifest(&self, name: &str) -> Result<Deleted> {
        let scopes = Scopes::delete(self.client.config().parsed().repository());
        let url = self.client.url(&format!("manifests/{name}")).await?;
        let response = self.client.send(Request::new(Method::DELETE, url, &scopes, DELETE)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(Deleted::Absent),
            status if status.is_success() => Ok(Deleted::Removed),
            _ => Err(self.client.refused(response, DELETE).await),
        }
    }

    async fn check_only_name(&self, tag: &str, digest: &Digest) -> Result<()> {
        let version = Version::new(digest.to_string());
        let is_other = |entry: &&CacheEntry| entry.version == version && entry.name.as_deref() != Some(tag);
        let entries = self.caches().await?;
        let Some(other) = entries.iter().find(is_other) else { return Ok(()) };
        let message = "this registry deletes a manifest with all its tags, and another tag leads to it";
        let error = error::new(ErrorKind::InUse, message).with("tag", tag).with("manifest", digest);
        Err(self.client.about(error.with("other", other.name.as_deref().unwrap_or_default())))
    }

    fn unsupported(&self, message: &str) -> Error {
        self.client.about(error::new(ErrorKind::Unsupported, message))
    }

    fn digest(&self, cache: &CacheEntry) -> Result<Digest> {
        let parsed = cache.version.as_str().parse();
        parsed.map_err(|error: InvalidDigest| {
            self.client.about(
                error::new(ErrorKind::InvalidManifest, "the cache was listed by another store").with_source(error),
            )
        })
    }
}

#[async_trait]
impl CacheStore for RegistryStore {
    /// Every tag of the repository, whatever it leads to.
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        let looks: Vec<BoxFuture<'_, _>> = self.tags().await?.into_iter().map(|tag| self.entry(tag).boxed()).collect();
        let entries: Vec<Option<CacheEntry>> = stream::iter(looks).buffered(LOOKS).try_collect().await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// The cache is the one that was listed, even when its tag leads elsewhere by now.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(RegistryImporter::over(Arc::new(self.client.at_digest(self.digest(cache)?)))))
    }

    /// One error: the distribution API has no list of blobs.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let error = self.unsupported("a registry cannot list its blobs");
        stream::iter([Err(error.with_hint("the registry's own garbage collection removes blobs of no manifest"))])
            .boxed()
    }

    /// The tag is deleted where the registry can do that; else the manifest is, with every tag that leads to it, and it is
    /// an error when there is another one.
    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let listed = self.digest(cache)?;
        let Some(tag) = &cache.name else { return self.delete_manifest(&listed.to_string()).await };
        match self.client.retrying(|| manifest_digest(&self.client, &self.scopes, tag)).await? {
            None => Ok(Deleted::Absent),
            Some(found) if found.digest == listed => self.delete(tag, &listed).await,
            Some(found) => {
                let error = error::new(ErrorKind::Conflict, "the cache has changed").with("tag", tag);
                Err(self.client.about(error.with("found", found.digest)))
            }
        }
    }

    /// Always an error: a blob that a manifest still needs could not be told from one that none needs.
    async fn delete_blob(&self, _: &BlobEntry) -> Result<Deleted> {
        Err(self.unsupported("a registry does not delete blobs one by one"))
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        delete_each(self, blobs).await
    }

    async fn abort_uploads(&self, _: Timestamp) -> Result<usize> {
        Ok(0)
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        Ok(None)
    }
}

/// What a tag or digest leads to; none when it leads nowhere. A registry that does not say the digest sends the document.
pub(crate) async fn manifest_digest(client: &Client, scopes: &Scopes, name: &str) -> Result<Option<Found>> {
    let url = client.url(&format!("manifests/{name}")).await?;
    let head = Request::new(Method::HEAD, url.clone(), scopes, LOOK).accept(MANIFEST_TYPES);
    let response = client.send(head.clone()).await?;
    match (response.status(), digest_of(&response)) {
        (StatusCode::NOT_FOUND, _) => return Ok(None),
        (status, Some(digest)) if status.is_success() => return Ok(Some(Found::new(digest, &response))),
        (status, _) if !status.is_success() && status != StatusCode::METHOD_NOT_ALLOWED => {
            return Err(client.refused_head(response, head).await);
        }
        _ => {}
    }
    let response = client.send(Request::new(Method::GET, url, scopes, LOOK).accept(MANIFEST_TYPES)).await?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => {
            let bytes = client.read(response, client.config().limits().manifest, LOOK).await?;
            Ok(Some(Found { digest: Digest::sha256(&bytes), descriptor: None }))
        }
        _ => Err(client.refused(response, LOOK).await),
    }
}

impl Found {
    fn new(digest: Digest, response: &Response) -> Self {
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(|text| MediaType::from(text.to_owned()));
        let descriptor = media_type.zip(length_of(response)).map(|(kind, size)| Descriptor::new(kind, digest, size));
        Self { digest, descriptor }
    }
}

/// The URL of `Link: <…>; rel="next"`, on this registry only.
fn next_page(response: &Response) -> Option<Url> {
    let links = response.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links
        .flat_map(|value| value.split(','))
        .find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let target = next.split_once('<')?.1.split_once('>')?.0;
    let url = response.url().join(target).ok()?;
    (url.origin() == response.url().origin()).then_some(url)
}

impl fmt::Debug for RegistryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryStore").field("config", self.client.config()).finish_non_exhaustive()
    }
}
