//! Version 2: Twirp calls in JSON, and block blobs behind signed URLs.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::PartUpload;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};
use url::Url;

use super::{CacheService, Found, Reservation, decode, decode_url, unless_missing};
use crate::client::{Call, Client};
use crate::error;
use crate::fields::Fields;
use crate::keys::VERSION;
use crate::signed::{BlockBlob, Http};

const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService";

/// A service of version 2.
pub(crate) struct V2 {
    twirp: Arc<Twirp>,
    http: Http,
}

struct Twirp(Client);

/// A key that is held, and where its bytes go.
struct Held {
    twirp: Arc<Twirp>,
    http: Http,
    key: String,
    url: Url,
}

impl V2 {
    pub(crate) fn new(client: Client, http: Http) -> Self {
        Self { twirp: Arc::new(Twirp(client)), http }
    }
}

impl Twirp {
    async fn call(&self, method: &str, body: &Value, message: &'static str) -> Result<Fields> {
        let call = Call::new(Method::POST, format!("{SERVICE}/{method}"), message);
        let call = call.header(CONTENT_TYPE, "application/json").body(body.to_string());
        decode(&self.0.send(call).await?.body, message).map_err(|error| self.0.with_context(error))
    }

    async fn lookup(&self, key: &str) -> Result<Option<Found>> {
        const MESSAGE: &str = "cannot look up the entry";
        // Only a restore key is matched as a prefix.
        let body = json!({ "key": key, "restore_keys": [key], "version": VERSION });
        let answer = self.call("GetCacheEntryDownloadURL", &body, MESSAGE).await;
        let Some(answer) = unless_missing(answer)? else { return Ok(None) };
        let (matched, url) = (answer.text("matched_key"), answer.text("signed_download_url"));
        if !answer.is_true("ok") || url.is_empty() {
            return Ok(None);
        }
        let found = if matched.is_empty() { key } else { matched };
        Ok(Some(Found { key: found.to_owned(), url: decode_url(url, self.0.url(), MESSAGE)? }))
    }

    async fn reserve(&self, key: &str) -> Result<Url> {
        const MESSAGE: &str = "cannot reserve the entry";
        let answer = self.call("CreateCacheEntry", &json!({ "key": key, "version": VERSION }), MESSAGE).await?;
        match answer.is_true("ok") {
            true => decode_url(answer.text("signed_upload_url"), self.0.url(), MESSAGE),
            // Some services report a key that is being uploaded only by this text.
            false if answer.text("message").is_empty() => {
                let error = error::new(ErrorKind::Conflict, MESSAGE).with("server", "no reason given");
                Err(self.0.with_context(error))
            }
            false => Err(self.denied(&answer, MESSAGE)),
        }
    }

    async fn finalize(&self, key: &str, size: u64) -> Result<()> {
        const MESSAGE: &str = "cannot finalise the entry";
        let body = json!({ "key": key, "size_bytes": size, "version": VERSION });
        let answer = self.call("FinalizeCacheEntryUpload", &body, MESSAGE).await?;
        if answer.is_true("ok") { Ok(()) } else { Err(self.denied(&answer, MESSAGE)) }
    }

    fn denied(&self, answer: &Fields, message: &str) -> Error {
        self.0.with_context(error::denied(answer.text("message"), message))
    }
}

#[async_trait]
impl CacheService for V2 {
    async fn lookup(&self, key: &str) -> Result<Option<Found>> {
        self.twirp.lookup(key).await.map_err(|error| error.with("key", key))
    }

    async fn reserve(&self, key: &str) -> Result<Arc<dyn Reservation>> {
        let url = self.twirp.reserve(key).await.map_err(|error| error.with("key", key))?;
        Ok(Arc::new(Held { twirp: Arc::clone(&self.twirp), http: self.http.clone(), key: key.to_owned(), url }))
    }

    fn range_header(&self) -> HeaderName {
        HeaderName::from_static("x-ms-range")
    }
}

#[async_trait]
impl Reservation for Held {
    fn parts(&self, _: u64) -> Box<dyn PartUpload> {
        Box::new(BlockBlob::new(self.http.clone(), self.url.clone(), &self.key))
    }

    async fn finalize(&self, size: u64) -> Result<()> {
        self.twirp.finalize(&self.key, size).await.map_err(|error| error.with("key", &self.key))
    }
}
