//! Requests to one bucket, with bounded waits and the server's own words in every error.
//!
//! Below this folder and `error.rs` nobody knows the SDK.

mod connection;
mod list;
mod multipart;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::MetadataDirective;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use cache_core::{ContentRange, Digest, Error, ErrorKind, Result, RetryPolicy, Silent, Timestamp};
use tokio::sync::OnceCell;

use self::connection::Connection;
use crate::S3Config;
use crate::error::{self, Raw, within};
use crate::keys::copy_source;

/// What blobs and indexes are, for who asks the store.
const CONTENT_TYPE: &str = "application/octet-stream";
/// Whoever moves fewer bytes in a second than this does not move.
const SLOWEST: u64 = 32 << 10;
/// How much faster than that a store copies within itself.
const STORE_SPEED: u64 = 32;

/// A client of one bucket; nothing is opened before the first request.
pub(crate) struct Client {
    config: S3Config,
    connection: Arc<OnceCell<Connection>>,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) size: u64,
    pub(crate) modified: Option<Timestamp>,
    /// Without its quotes, which some stores leave out.
    pub(crate) etag: String,
    pub(crate) content_type: Option<String>,
}

/// What has to be at a key for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    None,
    Absent,
    Matches(&'a str),
}

/// An object that is being read.
pub(crate) struct Object {
    pub(crate) size: Option<u64>,
    pub(crate) etag: String,
    pub(crate) range: Option<ContentRange>,
    body: ByteStream,
}

impl Object {
    /// The next piece.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes>> {
        Some(self.body.next().await?.map_err(|error| error::broken(error, "cannot read the object")))
    }
}

impl Client {
    pub(crate) fn new(config: S3Config) -> Self {
        Self { config, connection: Arc::default() }
    }

    /// The same store and connection, looking at one name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self { config: self.config.named(name), connection: Arc::clone(&self.connection) }
    }

    pub(crate) fn config(&self) -> &S3Config {
        &self.config
    }

    /// Looks an object up. The answer to HEAD has no body, so a refusal is asked for once more in words.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Found>> {
        const MESSAGE: &str = "cannot look the object up";
        let request = self.sdk().await.head_object().bucket(self.config.bucket()).key(key);
        match self.answer(MESSAGE, 0, request.send()).await.map_err(|error| error.with("key", key))? {
            Ok(head) => Ok(Some(Found {
                size: length(head.content_length),
                modified: timestamp(head.last_modified),
                etag: unquoted(head.e_tag),
                content_type: head.content_type,
            })),
            Err(refused) if status(&refused) == Some(404) => Ok(None),
            Err(refused) => {
                let refused = error::failed(refused, MESSAGE);
                let is_about_us = refused.context("status").is_some_and(|status| status.starts_with('4'));
                let again = if is_about_us { self.get(key, Some((0, 0))).await.err() } else { None };
                let is_same = |again: &Error| again.context("status") == refused.context("status");
                Err(again.filter(is_same).unwrap_or_else(|| self.about(refused, key)))
            }
        }
    }

    /// Opens an object, or its bytes from the first to the last one.
    pub(crate) async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Object> {
        let mut request = self.sdk().await.get_object().bucket(self.config.bucket()).key(key);
        if let Some((first, last)) = range {
            request = request.range(format!("bytes={first}-{last}"));
        }
        let got = self.send("cannot read the object", key, 0, request.send()).await?;
        let GetObjectOutput { content_length, e_tag, content_range, body, .. } = got;
        let size = content_length.and_then(|size| u64::try_from(size).ok());
        Ok(Object { size, etag: unquoted(e_tag), range: content_range.as_deref().map(ContentRange::parse), body })
    }

    /// Reads a document of at most `limit` bytes; `None` when there is none.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<(Bytes, String)>> {
        let mut object = match self.get(key, None).await {
            Err(error) if error.context("code") == Some("NoSuchKey") => return Ok(None),
            opened => opened?,
        };
        let mut body = BytesMut::new();
        loop {
            let Some(piece) = within(self.idle_timeout(), object.next()).await else {
                return Err(self.stalled("cannot read the object", 0).with("key", key));
            };
            let Some(piece) = piece.transpose().map_err(|error| self.about(error, key))? else { break };
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                let error = error::new(ErrorKind::LimitExceeded, "document is too large to read").with("limit", limit);
                return Err(self.about(error, key));
            }
        }
        if object.size.is_some_and(|size| size != body.len() as u64) {
            return Err(self.about(error::new(ErrorKind::Unavailable, "document ended early"), key));
        }
        Ok(Some((body.freeze(), object.etag)))
    }

    /// Writes an object in one request, and answers with its ETag.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes, digest: &Digest, on: Condition<'_>) -> Result<String> {
        let (connection, size) = (self.connection().await, bytes.len() as u64);
        let mut request = connection.sdk.put_object().bucket(self.config.bucket()).key(key).content_type(CONTENT_TYPE);
        request = match on {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(etag) => request.if_match(quoted(etag)),
        };
        if connection.is_aws() && digest.algorithm() == "sha256" {
            request = request.checksum_sha256(BASE64.encode(digest.as_bytes()));
        }
        let request = request.body(ByteStream::new(SdkBody::from(bytes))).customize();
        let request = if connection.is_guarded() { request.disable_payload_signing() } else { request };
        let put = self.send("cannot write the object", key, size, request.send()).await?;
        Ok(unquoted(put.e_tag))
    }

    /// Copies an object onto itself, which makes it new.
    pub(crate) async fn renew(&self, key: &str, found: &Found) -> Result<()> {
        let request = self.sdk().await.copy_object().bucket(self.config.bucket()).key(key);
        let request = request
            .copy_source(copy_source(self.config.bucket(), key))
            .metadata_directive(MetadataDirective::Replace)
            .set_content_type(found.content_type.clone())
            .metadata("updated-at", Timestamp::now().to_string());
        self.send("cannot refresh the object", key, found.size / STORE_SPEED, request.send()).await.map(drop)
    }

    /// Deletes an object, if it still has this ETag where the store looks at that; one that is gone is no error.
    pub(crate) async fn delete(&self, key: &str, etag: Option<&str>) -> Result<()> {
        let request = self.sdk().await.delete_object().bucket(self.config.bucket()).key(key);
        let request = request.set_if_match(etag.map(quoted));
        self.send("cannot delete the object", key, 0, request.send()).await.map(drop)
    }

    /// Tries again what may succeed later; whoever calls does not try once more.
    pub(crate) async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.retry().run(&Silent, call).await.map_err(|error| error.with_retryable(false))
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.config.environment().retry()
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.config.environment().idle_timeout()
    }

    /// Names the backend, the bucket and the key.
    pub(crate) fn about(&self, error: Error, key: &str) -> Error {
        error.with("backend", crate::KIND).with("bucket", self.config.bucket()).with("key", key)
    }

    /// Sends a request that moves so many bytes on its way or in the store.
    async fn send<T, E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
        &self,
        message: &str,
        key: &str,
        bytes: u64,
        sending: impl Future<Output = Result<T, SdkError<E, Raw>>>,
    ) -> Result<T> {
        let answer = self.answer(message, bytes, sending).await.map_err(|error| self.about(error, key))?;
        answer.map_err(|refused| self.about(error::failed(refused, message), key))
    }

    /// Waits as long as `bytes` may take, and after that as long as nobody may answer.
    async fn answer<T>(&self, message: &str, bytes: u64, sending: impl Future<Output = T>) -> Result<T> {
        // The SDK's futures are large.
        let sending = Box::pin(sending);
        within(self.patience(bytes), sending).await.ok_or_else(|| self.stalled(message, bytes))
    }

    fn patience(&self, bytes: u64) -> Option<Duration> {
        self.idle_timeout().map(|idle| idle + Duration::from_secs(bytes / SLOWEST))
    }

    fn stalled(&self, message: &str, bytes: u64) -> Error {
        let wait = self.patience(bytes).unwrap_or_default();
        let error = error::new(ErrorKind::Unavailable, message);
        error.with("cause", format!("no answer for {} s", wait.as_secs_f32())).with("bucket", self.config.bucket())
    }

    async fn connection(&self) -> &Connection {
        self.connection.get_or_init(|| Box::pin(Connection::open(&self.config))).await
    }

    async fn sdk(&self) -> &aws_sdk_s3::Client {
        &self.connection().await.sdk
    }
}

fn status<E>(refused: &SdkError<E, Raw>) -> Option<u16> {
    refused.raw_response().map(|raw| raw.status().as_u16())
}

fn length(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn timestamp(at: Option<DateTime>) -> Option<Timestamp> {
    Some(Timestamp::from(std::time::SystemTime::try_from(at?).ok()?))
}

fn unquoted(etag: Option<String>) -> String {
    etag.map(|etag| etag.trim_matches('"').to_owned()).unwrap_or_default()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
