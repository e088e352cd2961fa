//! Requests to one container: the only user of the SDK, with the service's message in every error.

mod transport;

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::headers::Headers;
use azure_core::http::{ClientOptions, Etag, RetryOptions, Transport};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use azure_storage_blob::models::{
    AccessTier, BlobClientDeleteOptions, BlobClientDownloadOptions, BlobClientSetMetadataOptions,
    BlobContainerClientListBlobsOptions, BlobItem, BlockBlobClientCommitBlockListOptions, BlockBlobClientUploadOptions,
    BlockLookupList, HttpRange,
};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result, Timestamp};
use cache_kit::{BodyReader, ContentEncoding, ContentRange, NextPage, Page, RangeAnswer, Tuning};
use futures_util::stream::{StreamExt, TryStreamExt};

pub(crate) use self::transport::{Connections, Peer};
use crate::config::Access;
use crate::credential::{Chain, SharedKey};
use crate::error::{self, text};
use crate::{AzblobConfig, KIND, Keys};

/// The version of the service that BuildKit speaks; Azurite does not know the SDK's own.
const VERSION: &str = "2024-11-04";
/// Blobs in a page of a list: the most that the service returns.
const PAGE: i32 = 5_000;
const READ: &str = "cannot read the blob";
const DOCUMENT: &str = "cannot read the document";
const OCTETS: &str = "application/octet-stream";

/// A client of one container; nothing is opened before the first request.
#[derive(Clone)]
pub(crate) struct Client {
    config: AzblobConfig,
    container: Arc<BlobContainerClient>,
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Any,
    Absent,
    /// It has this ETag.
    Match(String),
}

/// An existing blob.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: Option<Timestamp>,
    /// How long ago it was written, by the service's own clock.
    pub(crate) age: Option<Duration>,
    /// Whether it is in the archive tier, from which it has to be rehydrated before it can be read.
    pub(crate) is_archived: bool,
    metadata: HashMap<String, String>,
}

/// The part of a blob that is being read.
pub(crate) struct Part {
    pub(crate) answer: RangeAnswer,
    etag: Option<String>,
}

/// A blob in a list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) is_archived: bool,
}

impl Client {
    pub(crate) fn new(config: AzblobConfig) -> Result<Self> {
        let environment = config.environment();
        let tuning = environment.tuning();
        let peer = Peer { is_encrypted: config.account().is_encrypted(), is_near: config.account().is_loopback() };
        let connections = Connections::new(tuning.timeouts(), tuning.bounds(), peer)
            .map_err(|error| error::unreachable(&error, "cannot set up the connection").with_source(error))?;
        let transport = Transport::new(Arc::new(connections));
        // The core tries again; two of them would multiply.
        let mut client_options = ClientOptions {
            transport: Some(transport.clone()),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let mut credential = None;
        match config.access()? {
            Access::Key(account, key) => client_options.per_try_policies.push(Arc::new(SharedKey::new(account, key))),
            Access::Signature => {}
            Access::Token => credential = Some(Arc::new(Chain::new(environment, &transport)?) as Arc<_>),
        }
        let options = BlobContainerClientOptions { client_options, version: VERSION.to_owned() };
        let url = config.account().container(config.container())?;
        // The SDK's words hold the URL, which may be signed.
        let container = BlobContainerClient::new(url, credential, Some(options))
            .map_err(|_| error::new(ErrorKind::InvalidSpec, "cannot use this account_url"))?;
        Ok(Self { config, container: Arc::new(container) })
    }

    /// The same connections, for another cache of the container.
    pub(crate) fn at(&self, keys: Keys) -> Self {
        Self { config: self.config.clone().with_keys(keys), container: Arc::clone(&self.container) }
    }

    pub(crate) fn config(&self) -> &AzblobConfig {
        &self.config
    }

    /// Looks up a blob; `None` if the blob or its container does not exist.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Found>> {
        match self.blob(key).get_properties(None).await {
            Ok(response) => Ok(Some(Found::of(response.headers()))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(error, "cannot look up the blob", key)),
        }
    }

    /// Writes a blob in one request; returns its ETag.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<String> {
        let (if_match, if_none_match) = condition.headers();
        let options = BlockBlobClientUploadOptions {
            blob_content_type: Some(OCTETS.to_owned()),
            if_match,
            if_none_match,
            // One part, whatever its size.
            partition_size: NonZero::new(bytes.len().max(1) as u64),
            ..BlockBlobClientUploadOptions::default()
        };
        let written = self.blob(key).upload(bytes.into(), Some(options)).await;
        let written = written.map_err(|error| self.failed(error, "cannot write the blob", key))?;
        Ok(written.etag.map(|etag| unquoted(etag.as_ref())).unwrap_or_default())
    }

    /// Sends a block of a blob.
    pub(crate) async fn put_block(&self, key: &str, id: &[u8], bytes: Bytes) -> Result<()> {
        let length = bytes.len() as u64;
        let blob = self.blob(key).block_blob_client();
        blob.stage_block(id, length, bytes.into(), None)
            .await
            .map(drop)
            .map_err(|error| self.failed(error, "cannot send a block of the blob", key))
    }

    /// Assembles the blob from its blocks.
    pub(crate) async fn put_block_list(&self, key: &str, ids: Vec<Vec<u8>>, condition: &Condition) -> Result<()> {
        let (if_match, if_none_match) = condition.headers();
        let options = BlockBlobClientCommitBlockListOptions {
            blob_content_type: Some(OCTETS.to_owned()),
            if_match,
            if_none_match,
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        let list = BlockLookupList { latest: Some(ids), ..BlockLookupList::default() };
        let failed = |error| self.failed(error, "cannot join the blocks of the blob", key);
        let list = list.try_into().map_err(failed)?;
        self.blob(key).block_blob_client().commit_block_list(list, Some(options)).await.map(drop).map_err(failed)
    }

    /// Opens a part of a blob, which is not empty; `None` if the blob does not exist.
    pub(crate) async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Part>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX).max(1);
        let options = BlobClientDownloadOptions {
            parallel: NonZero::new(1),
            partition_size: NonZero::new(length),
            range: Some(HttpRange::new(range.start, length as u64)),
            ..BlobClientDownloadOptions::default()
        };
        let opened = match self.blob(key).download(Some(options)).await {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.failed(error, READ, key)),
        };
        let range = text(&opened.headers, "content-range").map(ContentRange::parse);
        let length = text(&opened.headers, "content-length").and_then(|length| length.parse().ok());
        let encoding = ContentEncoding::parse(text(&opened.headers, "content-encoding"));
        let etag = text(&opened.headers, "etag").map(unquoted);
        let body = Box::pin(opened.body.map_err(|error| error::of(error, READ)));
        Ok(Some(Part { answer: RangeAnswer { body, range, length, encoding }, etag }))
    }

    /// Reads a document of at most `limit` bytes, with its ETag; `None` if it does not exist.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<(Bytes, String)>> {
        let Some(part) = self.get(key, 0..limit.saturating_add(1)).await? else { return Ok(None) };
        // The transport has the clock.
        let reader = BodyReader::new(DOCUMENT, None, &self.tuning().bounds()).with_limit(limit);
        let RangeAnswer { body, range, encoding, .. } = part.answer;
        let bytes = reader.read(body).await.and_then(|bytes| encoding.undo_document(bytes, limit, DOCUMENT));
        let bytes = bytes.map_err(|error| self.with_context(error).with("key", key))?;
        if range.and_then(|range| range.total).is_some_and(|total| total > bytes.len() as u64) {
            let error = error::new(ErrorKind::Unavailable, "document ended early").with("got", bytes.len());
            return Err(self.with_context(error).with("key", key));
        }
        let etag = part.etag.unwrap_or_default();
        if bytes.is_empty() && self.is_directory(key).await? { Ok(None) } else { Ok(Some((bytes, etag))) }
    }

    /// Whether an entry without bytes is a directory, in an account with a hierarchical namespace.
    async fn is_directory(&self, key: &str) -> Result<bool> {
        Ok(self.head(key).await?.is_some_and(|found| found.is_directory()))
    }

    /// Refreshes a blob, by writing its metadata again.
    pub(crate) async fn touch(&self, key: &str, found: &Found) -> Result<()> {
        let options = BlobClientSetMetadataOptions { if_match: Some(quoted(&found.etag)), ..Default::default() };
        let touched = self.blob(key).set_metadata(&found.metadata, Some(options)).await;
        touched.map(drop).map_err(|error| self.failed(error, "cannot refresh the blob", key))
    }

    /// Deletes a blob that still has this ETag; returns whether it existed.
    pub(crate) async fn delete(&self, key: &str, etag: &str) -> Result<bool> {
        let options = BlobClientDeleteOptions { if_match: Some(quoted(etag)), ..BlobClientDeleteOptions::default() };
        match self.blob(key).delete(Some(options)).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(self.failed(error, "cannot delete the blob", key)),
        }
    }

    /// A page of the blobs with this prefix; empty if the container does not exist.
    pub(crate) async fn list(&self, start: &str, marker: Option<String>) -> Result<Page<Listed, String>> {
        const MESSAGE: &str = "cannot list the blobs";
        let options = BlobContainerClientListBlobsOptions {
            marker,
            maxresults: Some(PAGE),
            prefix: Some(start.to_owned()).filter(|start| !start.is_empty()),
            ..BlobContainerClientListBlobsOptions::default()
        };
        let failed = |error| self.failed(error, MESSAGE, start);
        // Page by page: a page that fails is asked for again.
        let nothing = || Page { items: Vec::new(), next: NextPage::End, bytes: 0 };
        let page = match self.container.list_blobs(Some(options)).map_err(failed)?.into_pages().next().await {
            None => return Ok(nothing()),
            Some(Err(error)) if is_absent(&error) => return Ok(nothing()),
            Some(page) => page.map_err(failed)?,
        };
        let bytes = page.body().len() as u64;
        let page = page.into_model().map_err(failed)?;
        let next = page.next_marker.filter(|marker| !marker.is_empty()).map_or(NextPage::End, NextPage::At);
        Ok(Page { items: page.blob_items.into_iter().filter_map(Listed::of).collect(), next, bytes })
    }

    /// Whether the container exists.
    pub(crate) async fn has_container(&self) -> Result<bool> {
        match self.container.get_properties(None).await {
            Ok(_) => Ok(true),
            Err(error) if error::code_of(&error).as_deref() == Some("ContainerNotFound") => Ok(false),
            Err(error) => Err(self.with_context(error::of(error, "cannot look up the container"))),
        }
    }

    /// Creates the container if it does not exist.
    pub(crate) async fn create_container(&self) -> Result<()> {
        match self.container.create(None).await {
            Ok(_) => Ok(()),
            Err(error) if error::code_of(&error).as_deref() == Some("ContainerAlreadyExists") => Ok(()),
            Err(error) => Err(self.with_context(error::of(error, "cannot create the container"))),
        }
    }

    /// Repeats a call whose error may pass.
    pub(crate) async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.tuning().retry().run_final(self.config.environment().listener(), call).await
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        self.config.environment().tuning()
    }

    /// Adds the backend and the container to the context.
    pub(crate) fn with_context(&self, error: Error) -> Error {
        let place = format!("{}/{}", self.config.account().to_string().trim_end_matches('/'), self.config.container());
        error.with("backend", KIND).with("container", place)
    }

    fn failed(&self, error: azure_core::Error, message: &str, key: &str) -> Error {
        self.with_context(error::of(error, message)).with("key", key)
    }

    fn blob(&self, key: &str) -> BlobClient {
        self.container.blob_client(key)
    }
}

/// Absence is recognised by the service's error code, not by the status: a proxy may answer 404 too.
fn is_absent(error: &azure_core::Error) -> bool {
    let absent = ["BlobNotFound", "ContainerNotFound", "ResourceNotFound"];
    error::code_of(error).is_some_and(|code| absent.contains(&code.as_str()))
}

impl Condition {
    /// `If-Match` and `If-None-Match`.
    fn headers(&self) -> (Option<Etag>, Option<Etag>) {
        match self {
            Self::Any => (None, None),
            Self::Absent => (None, Some(Etag::from("*"))),
            Self::Match(etag) => (Some(quoted(etag)), None),
        }
    }
}

impl Found {
    /// Whether it is a directory of an account with a hierarchical namespace.
    pub(crate) fn is_directory(&self) -> bool {
        self.size == 0 && self.metadata.get("hdi_isfolder").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn of(headers: &Headers) -> Self {
        let metadata = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-ms-meta-")?;
            Some((name.to_owned(), value.as_str().to_owned()))
        });
        let time = |name| text(headers, name).and_then(|time| parse_rfc7231(time).ok());
        let (modified, now) = (time("last-modified"), time("date"));
        let age = modified.map(|modified| now.unwrap_or_else(OffsetDateTime::now_utc) - modified);
        Self {
            size: text(headers, "content-length").and_then(|size| size.parse().ok()).unwrap_or_default(),
            etag: text(headers, "etag").map(unquoted).unwrap_or_default(),
            modified: modified.and_then(timestamp),
            age: age.and_then(|age| age.try_into().ok()),
            is_archived: text(headers, "x-ms-access-tier") == Some("Archive"),
            metadata: metadata.collect(),
        }
    }
}

impl Listed {
    fn of(item: BlobItem) -> Option<Self> {
        let properties = item.properties?;
        Some(Self {
            key: item.name?,
            size: properties.content_length?,
            etag: properties.etag.map(|etag| unquoted(etag.as_ref())).unwrap_or_default(),
            modified: properties.last_modified.and_then(timestamp),
            is_archived: properties.access_tier.is_some_and(|tier| tier == AccessTier::Archive),
        })
    }
}

/// Headers quote an ETag, lists do not.
fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{etag}\""))
}

fn timestamp(time: OffsetDateTime) -> Option<Timestamp> {
    let (date, clock) = (time.date(), time.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = clock.as_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z").parse().ok()
}
