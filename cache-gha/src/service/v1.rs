//! Version 1: the REST interface of GitHub Enterprise Server and of other servers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{ErrorKind, Result};
use cache_kit::PartUpload;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::{CacheService, Found, Reservation, decode, decode_url, unless_missing};
use crate::client::{Call, Client};
use crate::error;
use crate::keys::VERSION;

const CACHE: &str = "/_apis/artifactcache/cache";
const CACHES: &str = "/_apis/artifactcache/caches";

/// A service of version 1.
pub(crate) struct V1 {
    client: Arc<Client>,
    /// Bytes of a part; offsets follow from it.
    part_size: u64,
}

/// A key that is held, by the number of its cache.
#[derive(Clone)]
struct Held {
    client: Arc<Client>,
    key: String,
    id: u64,
    part_size: u64,
}

impl V1 {
    pub(crate) fn new(client: Client, part_size: u64) -> Self {
        Self { client: Arc::new(client), part_size }
    }

    async fn look(&self, key: &str) -> Result<Option<Found>> {
        const MESSAGE: &str = "cannot look up the entry";
        let keys: String = byte_serialize(key.as_bytes()).collect();
        let call = Call::new(Method::GET, format!("{CACHE}?keys={keys}&version={VERSION}"), MESSAGE);
        let Some(reply) = unless_missing(self.client.send(call).await)? else { return Ok(None) };
        if reply.status == StatusCode::NO_CONTENT || reply.body.is_empty() {
            return Ok(None);
        }
        let answer = decode(&reply.body, MESSAGE).map_err(|error| self.client.with_context(error))?;
        if answer.text("cacheKey").is_empty() {
            return Ok(None);
        }
        let url = decode_url(answer.text("archiveLocation"), self.client.url(), MESSAGE)
            .map_err(|error| self.client.with_context(error))?;
        Ok(Some(Found { key: answer.text("cacheKey").to_owned(), url }))
    }

    async fn take(&self, key: &str) -> Result<u64> {
        const MESSAGE: &str = "cannot reserve the entry";
        let body = json!({ "key": key, "version": VERSION }).to_string();
        let call = Call::new(Method::POST, CACHES, MESSAGE).header(CONTENT_TYPE, "application/json").body(body);
        let reply = self.client.send(call).await?;
        let answer = decode(&reply.body, MESSAGE).map_err(|error| self.client.with_context(error))?;
        answer.number("cacheId").filter(|id| *id > 0).ok_or_else(|| {
            let error = error::new(ErrorKind::Unavailable, MESSAGE).with_retryable(false);
            self.client.with_context(error.with("cause", "the answer holds no number of a cache"))
        })
    }
}

#[async_trait]
impl CacheService for V1 {
    async fn lookup(&self, key: &str) -> Result<Option<Found>> {
        self.look(key).await.map_err(|error| error.with("key", key))
    }

    async fn reserve(&self, key: &str) -> Result<Arc<dyn Reservation>> {
        let id = self.take(key).await.map_err(|error| error.with("key", key))?;
        let (client, part_size) = (Arc::clone(&self.client), self.part_size);
        Ok(Arc::new(Held { client, key: key.to_owned(), id, part_size }))
    }

    fn range_header(&self) -> HeaderName {
        RANGE
    }
}

#[async_trait]
impl Reservation for Held {
    fn parts(&self, _: u64) -> Box<dyn PartUpload> {
        Box::new(self.clone())
    }

    async fn finalize(&self, size: u64) -> Result<()> {
        let call = Call::new(Method::POST, format!("{CACHES}/{}", self.id), "cannot finalise the entry");
        let call = call.header(CONTENT_TYPE, "application/json").body(json!({ "size": size }).to_string());
        self.client.send(call).await.map(drop).map_err(|error| error.with("key", &self.key))
    }

    /// act and similar services return bytes by the number of the entry.
    fn is_at(&self, url: &Url) -> Option<bool> {
        let number: u64 = url.path_segments()?.next_back()?.parse().ok()?;
        Some(number == self.id)
    }
}

impl Held {
    async fn patch(&self, start: u64, bytes: Bytes) -> Result<()> {
        // There is no range for zero bytes, and no need to send them.
        let Some(last) = (bytes.len() as u64).checked_sub(1) else { return Ok(()) };
        let call = Call::new(Method::PATCH, format!("{CACHES}/{}", self.id), "cannot upload the entry");
        let call = call.header(CONTENT_TYPE, "application/octet-stream");
        let call = call.header(CONTENT_RANGE, format!("bytes {start}-{}/*", start + last)).body(bytes);
        self.client.send(call).await.map(drop).map_err(|error| error.with("key", &self.key))
    }
}

/// Parts in any order; the service neither opens nor closes anything for them.
#[async_trait]
impl PartUpload for Held {
    async fn put(&self, bytes: Bytes) -> Result<()> {
        self.patch(0, bytes).await
    }

    async fn begin(&self) -> Result<String> {
        Ok(String::new())
    }

    async fn part(&self, _: &str, number: u32, bytes: Bytes) -> Result<String> {
        let start = u64::from(number.saturating_sub(1)) * self.part_size;
        self.patch(start, bytes).await?;
        Ok(String::new())
    }

    async fn complete(&self, _: &str, _: Vec<String>) -> Result<()> {
        Ok(())
    }

    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}
