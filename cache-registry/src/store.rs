//! [`RegistryStore`]: lists and deletes the caches of a repository.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::model::InvalidDigest;
use cache_core::seams::{
    BlobEntry, CacheEntry, CacheListing, ContributionName, Deleted, Quota, UnreadableCache, delete_each,
};
use cache_core::{
    CacheImporter, CacheStore, Descriptor, Digest, Error, ErrorKind, MediaType, Result, Timestamp, Version,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};

use crate::auth::Scopes;
use crate::client::{Client, Request, digest_of, told_length};
use crate::importer::MANIFEST_TYPES;
use crate::reference::is_tag;
use crate::{RegistryConfig, RegistryImporter, error, tags};

const LOOK: &str = "cannot look up the manifest";
const DELETE: &str = "cannot delete the manifest";
/// How many manifests are looked up at the same time.
const LOOKS: usize = 32;

/// How many tags in a list may fail as if the registry itself did, before it is believed that it does.
const MOST_FAILURES: usize = 16;
/// How space is freed. Distribution 3 deletes a tag and keeps its manifest, which keeps its blobs.
const COLLECTION: &str = "the registry's own garbage collection frees the space; distribution's leaves manifests without \
    a tag alone unless it runs with --delete-untagged (-m)";

/// What to do about a manifest with another tag.
const SHARED: &str = "leave the tag, which takes no space of its own, until the other one points to another manifest; \
    a prune that keeps neither deletes both";
/// What to do if a tag may point to the manifest.
const UNKNOWN: &str = "the other tag may point to the same manifest: write it again, or delete it at the registry";

/// A repository of caches; its tags are the names.
///
/// A repository that does not exist has no caches. A registry cannot list its blobs; its own garbage collection removes
/// those that no manifest names.
pub struct RegistryStore {
    client: Arc<Client>,
    scopes: Scopes,
}

/// The manifest of a tag or digest.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    descriptor: Option<Descriptor>,
}

impl RegistryStore {
    /// The store in the repository of `config`; its tag and digest are ignored.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        Self::over(Arc::new(Client::new(config)))
    }

    /// A store that shares a session.
    pub(crate) fn over(client: Arc<Client>) -> Self {
        let scopes = Scopes::pull(client.config().parsed().repository());
        Self { client, scopes }
    }

    /// Every tag, in order.
    pub(crate) async fn tags(&self) -> Result<Vec<String>> {
        tags::list(&self.client, &self.scopes).await
    }

    /// The entries of the tags of caches, or of contributions. A tag that the registry does not serve is listed as
    /// unreadable; many of them are an error.
    async fn entries(&self, are_contributions: bool) -> Result<CacheListing> {
        let mut tags = self.tags().await?;
        tags.retain(|tag| ContributionName::parse(tag).is_some() == are_contributions);
        let looks: Vec<BoxFuture<'_, _>> =
            tags.into_iter().map(|tag| async move { (self.entry(&tag).await, tag) }.boxed()).collect();
        let mut looks = stream::iter(looks).buffered(LOOKS);
        let mut listing = CacheListing::default();
        let mut failures = 0;
        while let Some((found, name)) = looks.next().await {
            match found {
                Ok(entry) => listing.caches.extend(entry),
                Err(error) if is_about_the_tag(&error) && failures < MOST_FAILURES => {
                    failures += usize::from(error.kind() == ErrorKind::Unavailable);
                    listing.unreadable.push(UnreadableCache { name, error });
                }
                Err(error) => return Err(error.with("tag", name)),
            }
        }
        Ok(listing)
    }

    /// Looks up a tag; `None` if it was deleted meanwhile.
    async fn entry(&self, tag: &str) -> Result<Option<CacheEntry>> {
        if !is_tag(tag) {
            return Err(error::new(ErrorKind::InvalidManifest, "the registry lists an invalid tag"));
        }
        let found = self.client.retrying(|| manifest_digest(&self.client, &self.scopes, tag)).await?;
        Ok(found.map(|found| {
            let mut entry = CacheEntry::new(Some(tag.to_owned()), Version::new(found.digest.to_string()));
            entry.descriptor = found.descriptor;
            entry
        }))
    }

    /// Deletes a tag if the registry can do that, otherwise the manifest, unless it has another tag.
    async fn delete(&self, tag: &str, digest: &Digest) -> Result<Deleted> {
        match self.delete_manifest(tag).await {
            Err(error) if error.kind() == ErrorKind::Unsupported || error.kind() == ErrorKind::DigestMismatch => {
                self.check_only_name(tag, digest).await?;
                self.delete_manifest(&digest.to_string()).await.map_err(deletes_nothing)
            }
            deleted => deleted,
        }
    }

    pub(crate) async fn delete_manifest(&self, name: &str) -> Result<Deleted> {
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
        let listing = self.list().await?;
        let other = listing.caches.iter().find(is_other).and_then(|entry| entry.name.clone());
        let unreadable = listing.unreadable.into_iter().next();
        let (why, other, hint) = match (other, unreadable) {
            (Some(other), _) => ("another tag points to it", other, SHARED),
            (None, Some(unreadable)) => ("one tag cannot be read", unreadable.name, UNKNOWN),
            (None, None) => return Ok(()),
        };
        let message = format!("this registry deletes a manifest with all its tags, and {why}");
        let error = error::new(ErrorKind::InUse, message).with("tag", tag).with("manifest", digest);
        Err(self.client.with_context(error.with("other", other)).with_hint(hint))
    }

    fn unsupported(&self, message: &str) -> Error {
        self.client.with_context(error::new(ErrorKind::Unsupported, message))
    }

    fn digest(&self, cache: &CacheEntry) -> Result<Digest> {
        let parsed = cache.version.as_str().parse();
        parsed.map_err(|error: InvalidDigest| {
            self.client.with_context(
                error::new(ErrorKind::InvalidManifest, "the cache was listed by another store").with_source(error),
            )
        })
    }
}

#[async_trait]
impl CacheStore for RegistryStore {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        self.list().await?.whole()
    }

    /// All tags of the repository, whatever their manifests are, without contributions.
    async fn list(&self) -> Result<CacheListing> {
        self.entries(false).await
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        self.entries(true).await?.whole()
    }

    /// The cache is the one that was listed, even if its tag points to another one by now.
    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        Ok(Box::new(RegistryImporter::over(Arc::new(self.client.at_digest(self.digest(cache)?)))))
    }

    /// One error: the distribution API has no list of blobs.
    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        let error = self.unsupported("a registry cannot list its blobs");
        stream::iter([Err(error.with_hint(COLLECTION))]).boxed()
    }

    fn own_collection(&self) -> Option<&'static str> {
        Some(COLLECTION)
    }

    /// The tag is deleted if the registry can do that. Otherwise the manifest is, which deletes all of its tags;
    /// another tag is then an error.
    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        let listed = self.digest(cache)?;
        let Some(tag) = &cache.name else { return self.delete_manifest(&listed.to_string()).await };
        match self.client.retrying(|| manifest_digest(&self.client, &self.scopes, tag)).await? {
            None => Ok(Deleted::Absent),
            Some(found) if found.digest == listed => self.delete(tag, &listed).await,
            Some(found) => {
                let error = error::new(ErrorKind::Conflict, "the cache has changed").with("tag", tag);
                Err(self.client.with_context(error.with("found", found.digest)))
            }
        }
    }

    /// Always an error: it is unknown which blobs manifests still need.
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

/// Whether an error is about one tag, and not about the registry or the credentials.
fn is_about_the_tag(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unauthenticated | ErrorKind::RateLimited | ErrorKind::Storage => false,
        // No answer at all.
        ErrorKind::Unavailable => error.status().is_some(),
        _ => true,
    }
}

/// Says what to do about a registry that deletes neither tags nor manifests.
fn deletes_nothing(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unsupported if !matches!(error.status(), Some(300..=399)) => error.with_hint(
            "deleting is turned off at this registry: turn it on (distribution: storage.delete.enabled), or set a retention \
             rule there",
        ),
        _ => error,
    }
}

/// The manifest of a tag or digest; `None` if it does not exist. If the registry does not return the digest or the
/// length in headers, the document is read.
pub(crate) async fn manifest_digest(client: &Client, scopes: &Scopes, name: &str) -> Result<Option<Found>> {
    let url = client.url(&format!("manifests/{name}")).await?;
    let head = Request::new(Method::HEAD, url.clone(), scopes, LOOK).accept(MANIFEST_TYPES);
    let response = client.send(head.clone()).await?;
    match (response.status(), digest_of(&response).zip(told_length(&response))) {
        (StatusCode::NOT_FOUND, _) => return Ok(None),
        (status, Some((digest, size))) if status.is_success() => return Ok(Some(Found::new(&response, digest, size))),
        (status, _) if !status.is_success() && status != StatusCode::METHOD_NOT_ALLOWED => {
            return Err(client.refused_head(response, head).await);
        }
        _ => {}
    }
    let response = client.send(Request::new(Method::GET, url, scopes, LOOK).accept(MANIFEST_TYPES)).await?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => {
            let found = Found::new(&response, Digest::sha256(b""), 0);
            let bytes = client.read(response, client.config().limits().manifest, LOOK).await?;
            Ok(Some(found.holding(&bytes)))
        }
        _ => Err(client.refused(response, LOOK).await),
    }
}

impl Found {
    fn new(response: &Response, digest: Digest, size: u64) -> Self {
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(|text| MediaType::from(text.to_owned()));
        Self { digest, descriptor: media_type.map(|kind| Descriptor::new(kind, digest, size)) }
    }

    fn holding(self, bytes: &[u8]) -> Self {
        let digest = Digest::sha256(bytes);
        let descriptor = self.descriptor.map(|found| Descriptor::new(found.media_type, digest, bytes.len() as u64));
        Self { digest, descriptor }
    }
}

impl fmt::Debug for RegistryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryStore").field("config", self.client.config()).finish_non_exhaustive()
    }
}
