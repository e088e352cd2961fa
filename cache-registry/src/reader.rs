//! Streams of blobs: a stream that breaks goes on where it stopped.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::kit::{ContentRange, ResumeSource, resuming, skip_bytes};
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::answer::encoding_of;
use crate::auth::Scopes;
use crate::client::{Client, Request, length_of};
use crate::error;

const MESSAGE: &str = "cannot read the blob";

/// Where a blob is: manifests have a place of their own, and so has what the reference leads to, whatever its type.
pub(crate) async fn url(client: &Client, blob: &Descriptor) -> Result<Url> {
    let is_root = client.config().parsed().digest() == Some(blob.digest);
    let kind = if is_root || blob.media_type.is_manifest() { "manifests" } else { "blobs" };
    client.url(&format!("{kind}/{}", blob.digest)).await
}

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let at = range.as_ref().map_or(0, |range| range.start);
    let is_whole = range.is_none();
    let source = Source { url: url(&client, blob).await?, client, blob: blob.clone() };
    let body = source.body(at..end, is_whole).await?;
    Ok(resuming(source, body, at..end))
}

struct Source {
    client: Arc<Client>,
    blob: Descriptor,
    url: Url,
}

impl Source {
    /// The bytes from the start of the range on. What comes after the end of a whole blob is noticed by the verifying
    /// reader; its length is known from its header.
    async fn body(&self, range: Range<u64>, is_whole: bool) -> Result<BlobStream> {
        let is_ranged = !is_whole && range.start < self.blob.size;
        self.client.retrying(|| self.get(range.clone(), is_ranged)).await
    }

    /// The body from the start of the range on.
    async fn get(&self, range: Range<u64>, is_ranged: bool) -> Result<BlobStream> {
        let response = self.send(&range, is_ranged).await?;
        // A part of what a proxy has encoded is no part of the blob.
        let response = match response.status() {
            StatusCode::PARTIAL_CONTENT if encoding_of(&response).is_some() => self.send(&range, false).await?,
            _ => response,
        };
        match response.status() {
            StatusCode::OK => self.whole(response).map(|body| skip_bytes(body, range.start)),
            StatusCode::PARTIAL_CONTENT if starts_at(&response, range.start) => self.client.body(response, MESSAGE),
            StatusCode::PARTIAL_CONTENT => {
                Err(self.about(error::new(ErrorKind::Unavailable, "registry sent another range")))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let message = "blob is shorter than its descriptor says";
                Err(self.about(error::new(ErrorKind::DigestMismatch, message).with("size", self.blob.size)))
            }
            _ => Err(self.about(self.client.refused(response, MESSAGE).await)),
        }
    }

    async fn send(&self, range: &Range<u64>, is_ranged: bool) -> Result<Response> {
        let scopes = Scopes::pull(self.client.config().parsed().repository());
        let request = Request::new(Method::GET, self.url.clone(), &scopes, MESSAGE);
        let request = request.accept(&format!("{}, */*", self.blob.media_type));
        let request = match is_ranged {
            // There is no range of no bytes: a look at the first one tells whether the blob is there.
            true => request.header(RANGE, &format!("bytes={}-{}", range.start, range.end.max(range.start + 1) - 1)),
            false => request,
        };
        self.client.send(request).await.map_err(|error| self.about(error))
    }

    /// A body of another length than the descriptor's is another blob.
    fn whole(&self, response: Response) -> Result<BlobStream> {
        match length_of(&response).filter(|length| *length != self.blob.size) {
            Some(length) => {
                let error = error::new(ErrorKind::DigestMismatch, "blob has another length than its descriptor says");
                Err(self.about(error.with("size", self.blob.size).with("got", length)))
            }
            None => self.client.body(response, MESSAGE),
        }
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error.with("blob", self.blob.digest))
    }
}

#[async_trait]
impl ResumeSource for Source {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        let is_whole = range.start == 0;
        self.body(range, is_whole).await
    }

    fn about(&self, error: Error) -> Error {
        self.about(error)
    }
}

fn starts_at(response: &Response, start: u64) -> bool {
    let header = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    header.and_then(|value| ContentRange::parse(value).start).is_none_or(|given| given == start)
}
