//! Requests to one bucket, with timeouts, and the server's message in every error.
//!
//! Only this folder and `error.rs` know the SDK.

mod authorities;
mod capped;
mod connection;
mod list;
mod logged;
mod multipart;
mod profile;

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{MetadataDirective, StorageClass};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cache_core::{BlobStream, Digest, Error, ErrorKind, Result, Timestamp};
use cache_kit::{BodyReader, ContentEncoding, ContentRange, Outgoing, RangeAnswer, Timeouts, Tuning, answered};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::OnceCell;

pub(crate) use self::capped::TOO_LONG;
use self::connection::Connection;
pub(crate) use self::list::{Cursor, Object as ListedObject};
pub(crate) use self::multipart::{Marker, OpenUpload};
use crate::S3Config;
use crate::error::{self, Raw};
use crate::keys::copy_source;
use crate::keys::{UNUSUAL, is_unusual};

/// The content types of blobs and indexes.
const CONTENT_TYPE: &str = "application/octet-stream";
/// Fewer bytes in a second than this count as none.
const SLOWEST: u64 = 32 << 10;
/// How much faster than that a store copies within itself.
const STORE_SPEED: u64 = 32;

const READ: &str = "cannot read the object";

/// A client of one bucket; nothing is opened before the first request.
#[derive(Clone)]
pub(crate) struct Client {
    config: S3Config,
    connection: Arc<OnceCell<Connection>>,
}

/// An existing object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) size: u64,
    pub(crate) modified: Option<Timestamp>,
    /// Without its quotes, which some stores leave out.
    pub(crate) etag: String,
    pub(crate) content_type: Option<String>,
    /// Whether it must be restored before it can be read; in a list, whether its class is an archive class.
    pub(crate) is_archived: bool,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    None,
    Absent,
    Matches(&'a str),
}

/// An object that is being read.
pub(crate) struct Object {
    /// Bytes of the answer.
    length: Option<u64>,
    range: Option<ContentRange>,
    encoding: ContentEncoding,
    etag: String,
    modified: Option<Timestamp>,
    content_type: Option<String>,
    body: ByteStream,
}

impl Object {
    /// The size of the whole of it, as far as it comes as it is stored.
    fn size(&self) -> Option<u64> {
        match self.range {
            Some(range) => range.total,
            None => self.length.filter(|_| self.encoding.is_identity()),
        }
    }

    /// Its bytes, unbounded.
    fn into_pieces(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        stream::unfold(self.body, |mut body| async move {
            let piece = body.next().await?;
            Some((piece.map_err(|error| error::broken(error, READ)), body))
        })
    }
}

impl Found {
    /// An archived object of unknown size.
    fn archived() -> Self {
        Self { size: 0, modified: None, etag: String::new(), content_type: None, is_archived: true }
    }
}

impl Client {
    pub(crate) fn new(config: S3Config) -> Self {
        Self { config, connection: Arc::default() }
    }

    /// The same store and connection, for one name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self { config: self.config.named(name), connection: Arc::clone(&self.connection) }
    }

    pub(crate) fn config(&self) -> &S3Config {
        &self.config
    }

    /// Looks up an object. The answer to HEAD has no body, so a refusal is asked for again by a request whose answer
    /// has one.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Found>> {
        const MESSAGE: &str = "cannot look up the object";
        let request = self.sdk().await?.head_object().bucket(self.config.bucket()).key(key);
        match self.answer(MESSAGE, None, request.send()).await.map_err(|error| error.with("key", key))? {
            Ok(head) => {
                let is_archived = is_of_archives(head.storage_class.as_ref()) || head.archive_status.is_some();
                let found = Found {
                    size: length(head.content_length),
                    modified: timestamp(head.last_modified),
                    etag: unquoted(head.e_tag),
                    content_type: head.content_type,
                    is_archived,
                };
                // Some proxies turn the length into zero, and a restored object keeps its archive class.
                if found.size > 0 && !is_archived { Ok(Some(found)) } else { self.look_inside(key, found).await }
            }
            Err(refused) if status(&refused) == Some(404) => Ok(None),
            Err(refused) => {
                let refused = error::failed(refused, MESSAGE);
                let is_about_us = refused.status().is_some_and(|status| status / 100 == 4);
                if is_about_us { self.look_again(key, refused).await } else { Err(self.with_context(refused, key)) }
            }
        }
    }

    /// Reads a byte of an object of which HEAD does not say enough.
    async fn look_inside(&self, key: &str, found: Found) -> Result<Option<Found>> {
        match self.get(key, Some((0, 0))).await {
            Ok(object) => Ok(Some(Found { size: object.size().unwrap_or(found.size), is_archived: false, ..found })),
            Err(error) if error.kind() == ErrorKind::Archived => Ok(Some(Found { is_archived: true, ..found })),
            // It is empty.
            Err(error) if error.status() == Some(416) => Ok(Some(Found { size: 0, is_archived: false, ..found })),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a byte of an object that HEAD was refused for: the answer has the store's words, or the object.
    async fn look_again(&self, key: &str, refused: Error) -> Result<Option<Found>> {
        let is_same = |again: &Error| again.status() == refused.status();
        match self.get(key, Some((0, 0))).await {
            Ok(object) => Ok(object.size().map(|size| Found {
                size,
                modified: object.modified,
                etag: object.etag,
                content_type: object.content_type,
                is_archived: false,
            })),
            Err(error) if error.kind() == ErrorKind::Archived => Ok(Some(Found::archived())),
            Err(again) if is_same(&again) => Err(again),
            Err(_) => Err(self.with_context(refused, key)),
        }
    }

    /// Opens an object, or its bytes from the first to the last one.
    pub(crate) async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Object> {
        let mut request = self.sdk().await?.get_object().bucket(self.config.bucket()).key(key);
        if let Some((first, last)) = range {
            request = request.range(format!("bytes={first}-{last}"));
        }
        let got = self.send(READ, key, None, request.send()).await?;
        let GetObjectOutput { content_length, e_tag, content_range, last_modified, body, .. } = got;
        Ok(Object {
            length: content_length.and_then(|length| u64::try_from(length).ok()),
            range: content_range.as_deref().map(ContentRange::parse),
            encoding: ContentEncoding::parse(got.content_encoding.as_deref()),
            etag: unquoted(e_tag),
            modified: timestamp(last_modified),
            content_type: got.content_type,
            body,
        })
    }

    /// The version of the document at a key, of at most `limit` bytes; `None` if it does not exist.
    pub(crate) async fn version(&self, key: &str, limit: u64) -> Result<Option<String>> {
        let found = self.retrying(|| self.head(key)).await?;
        match found.map(|found| found.etag) {
            Some(etag) if etag.is_empty() => {
                Ok(self.retrying(|| self.read(key, limit)).await?.map(|(_, version)| version))
            }
            etag => Ok(etag),
        }
    }

    /// Reads a document of at most `limit` bytes, with its version: the ETag, or the digest if the store returns none.
    /// `None` if it does not exist.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<(Bytes, String)>> {
        let object = match self.get(key, None).await {
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            opened => opened?,
        };
        let (length, etag, encoding) = (object.length, object.etag.clone(), object.encoding.clone());
        let document = self.body_reader(READ).with_limit(limit).read(object.into_pieces()).await;
        let document = document.and_then(|document| match length.filter(|length| *length != document.len() as u64) {
            Some(_) => Err(error::new(ErrorKind::Unavailable, "document ended early")),
            None => encoding.undo_document(document, limit, READ),
        });
        let document = document.map_err(|error| self.with_context(error, key))?;
        let version = if etag.is_empty() { Digest::sha256(&document).to_string() } else { etag };
        Ok(Some((document, version)))
    }

    /// Opens a blob, or a part of it that is not empty.
    pub(crate) async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        let object = self.get(key, range.map(|range| (range.start, range.end - 1))).await?;
        let (range, length, encoding) = (object.range, object.length, object.encoding.clone());
        Ok(RangeAnswer { body: self.body_reader(READ).stream(object.into_pieces()), range, length, encoding })
    }

    /// Writes an object in one request, and returns its ETag.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes, digest: &Digest, on: Condition<'_>) -> Result<String> {
        let (connection, size) = (self.connection().await?, bytes.len() as u64);
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
        let put = self.send("cannot write the object", key, Some(size), request.send()).await?;
        Ok(unquoted(put.e_tag))
    }

    /// Writes an object of known size in one request, as its bytes come.
    pub(crate) async fn put_stream(&self, key: &str, stream: BlobStream, size: u64) -> Result<()> {
        const MESSAGE: &str = "cannot write the object";
        let body = Outgoing::new(stream, size);
        let flow = body.flow();
        let request = self.sdk().await?.put_object().bucket(self.config.bucket()).key(key).content_type(CONTENT_TYPE);
        let request = request.set_content_length(i64::try_from(size).ok());
        let request = request.body(ByteStream::new(SdkBody::from_body_1_x(Streamed(Mutex::new(body)))));
        let sent = flow.unless_stalled(self.tuning().timeouts().idle, MESSAGE, Box::pin(request.send())).await;
        if let Some(error) = flow.take_failure() {
            return Err(error);
        }
        let sent = sent.map_err(|error| self.with_context(error, key))?;
        sent.map(drop).map_err(|refused| self.with_context(error::failed(refused, MESSAGE), key))
    }

    /// Copies an object onto itself, which resets its age.
    pub(crate) async fn renew(&self, key: &str, found: &Found) -> Result<()> {
        let request = self.sdk().await?.copy_object().bucket(self.config.bucket()).key(key);
        let request = request
            .copy_source(copy_source(self.config.bucket(), key))
            .metadata_directive(MetadataDirective::Replace)
            .set_content_type(found.content_type.clone())
            .metadata("updated-at", Timestamp::now().to_string());
        self.send("cannot refresh the object", key, Some(found.size / STORE_SPEED), request.send()).await.map(drop)
    }

    /// Deletes an object, if it still has this ETag and the store checks that. It is not an error if it does not exist.
    pub(crate) async fn delete(&self, key: &str, etag: Option<&str>) -> Result<()> {
        let request = self.sdk().await?.delete_object().bucket(self.config.bucket()).key(key);
        let request = request.set_if_match(etag.map(quoted));
        self.send("cannot delete the object", key, None, request.send()).await.map(drop)
    }

    /// Retries what may succeed later, so callers do not retry.
    pub(crate) fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        self.tuning().retry().run_final(self.config.environment().listener(), call)
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        self.config.environment().tuning()
    }

    /// Reads the bodies of objects within bounds.
    fn body_reader(&self, message: &'static str) -> BodyReader {
        BodyReader::new(message, self.tuning().timeouts().idle, &self.tuning().bounds())
    }

    /// Adds the backend, the bucket and the key to the context.
    pub(crate) fn with_context(&self, error: Error, key: &str) -> Error {
        let error = error.with("backend", crate::KIND).with("bucket", self.config.bucket()).with("key", key);
        let is_about_slashes = error.kind() == ErrorKind::Unsupported && is_unusual(key);
        if is_about_slashes { error.with_hint(UNUSUAL) } else { error }
    }

    /// Sends a request that moves `bytes` bytes over the network or in the store; `None` for a query.
    async fn send<T, E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
        &self,
        message: &str,
        key: &str,
        bytes: Option<u64>,
        sending: impl Future<Output = Result<T, SdkError<E, Raw>>>,
    ) -> Result<T> {
        let answer = self.answer(message, bytes, sending).await.map_err(|error| self.with_context(error, key))?;
        answer.map_err(|refused| self.with_context(error::failed(refused, message), key))
    }

    /// Waits for the answer to a question, or as long as `bytes` may take and nothing may move after that: the SDK does
    /// not tell whether they do.
    async fn answer<T>(&self, message: &str, bytes: Option<u64>, sending: impl Future<Output = T>) -> Result<T> {
        let Timeouts { answer, idle, .. } = self.tuning().timeouts();
        let limit = match bytes {
            None => answer,
            Some(bytes) => idle.map(|idle| idle + Duration::from_secs(bytes / SLOWEST)),
        };
        // The SDK's futures are large.
        answered(limit, message, Box::pin(sending)).await
    }

    async fn connection(&self) -> Result<&Connection> {
        self.connection.get_or_try_init(|| Box::pin(Connection::open(&self.config))).await
    }

    async fn sdk(&self) -> Result<&aws_sdk_s3::Client> {
        self.connection().await.map(|connection| &connection.sdk)
    }
}

/// A stream as the SDK takes it, which wants to share its bodies between threads.
struct Streamed(Mutex<Outgoing>);

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        let outgoing = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        outgoing.poll_next_unpin(cx).map(|next| next.map(|piece| piece.map(http_body::Frame::data)))
    }
}

/// Whether objects of this class may need to be restored before they are read: `GLACIER`, `DEEP_ARCHIVE`, and similar
/// classes of other stores.
fn is_of_archives(class: Option<&StorageClass>) -> bool {
    class.is_some_and(|class| class.as_str() != "GLACIER_IR" && is_cold(class.as_str()))
}

fn is_cold(class: &str) -> bool {
    ["GLACIER", "ARCHIVE"].iter().any(|part| class.to_ascii_uppercase().contains(part))
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
