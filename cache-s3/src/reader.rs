//! Streams of blobs: a stream that breaks goes on where it stopped.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::kit::ResumeSource;
use cache_core::model::LayerEncoding;
use cache_core::{BlobStream, CodecPool, Descriptor, Error, ErrorKind, Result, decode};

use crate::client::{Client, Object};
use crate::error;

const MESSAGE: &str = "cannot read the blob";

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let at = range.as_ref().map_or(0, |range| range.start);
    let ahead = client.config().environment().read_ahead().clone();
    let is_whole = range.is_none();
    let source = Source { key: client.config().keys().blob(&blob.digest), client, blob: blob.clone(), is_whole };
    let body = source.body(ahead.first(&(at..end))).await?;
    Ok(ahead.read(source, body, at..end))
}

struct Source {
    client: Arc<Client>,
    key: String,
    blob: Descriptor,
    /// Whether all of it is wanted, in however many requests.
    is_whole: bool,
}

impl Source {
    /// The bytes of a range, with an end when nothing moves.
    async fn body(&self, range: Range<u64>) -> Result<BlobStream> {
        let object = self.get(range.start, range.end).await?;
        let is_as_stored = object.is_as_stored(self.blob.size);
        let pieces = self.client.body_reader(MESSAGE).stream(object.into_pieces());
        if is_as_stored { Ok(pieces) } else { decode(LayerEncoding::Gzip, pieces, &CodecPool::default()) }
    }

    /// The object from `at` on; a blob that is wanted whole is asked for without a range.
    async fn get(&self, at: u64, end: u64) -> Result<Object> {
        // There is no range of no bytes: a look at the first one tells whether the blob is there.
        let last = if end > at { end - 1 } else { at };
        let is_whole = (at, end) == (0, self.blob.size);
        let range = (!is_whole && at < self.blob.size).then_some((at, last));
        let object = self.client.retrying(|| self.open(range)).await.map_err(|error| self.about(error))?;
        if !object.is_as_stored(self.blob.size) {
            let message = "the answer is compressed, and a part of the blob was asked for";
            return if range.is_none() { Ok(object) } else { Err(self.mismatch(message, object.size)) };
        }
        let total = match range {
            None => object.size,
            Some(_) => object.range.and_then(|given| given.total).filter(|_| self.is_whole),
        };
        match total.filter(|total| *total != self.blob.size) {
            Some(_) => Err(self.mismatch("blob has another length than its descriptor says", total)),
            None => Ok(object),
        }
    }

    /// Opens a range once. The SDK does not show the status, so that an answer without `Content-Range` may be the whole.
    async fn open(&self, range: Option<(u64, u64)>) -> Result<Object> {
        let object = self.client.get(&self.key, range).await?;
        let given = object.range.and_then(|given| given.start);
        match range {
            Some((at, _)) if given != Some(at) => {
                Err(error::new(ErrorKind::Unavailable, "the store sent another range").with("at", at))
            }
            _ => Ok(object),
        }
    }

    fn mismatch(&self, message: &str, got: Option<u64>) -> Error {
        let error = error::new(ErrorKind::DigestMismatch, message).with("size", self.blob.size);
        self.about(got.into_iter().fold(error, |error, got| error.with("got", got)))
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error.with("blob", self.blob.digest), &self.key)
    }
}

#[async_trait]
impl ResumeSource for Source {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        self.body(range).await
    }

    fn about(&self, error: Error) -> Error {
        self.about(error)
    }
}
