//! Streams of blobs: a stream that breaks goes on where it stopped.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::kit::{ResumeSource, resuming};
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use futures_util::stream;

use crate::client::{Client, Part};
use crate::error;

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let is_whole = range.is_none();
    let range = range.unwrap_or(0..blob.size);
    let source = Source { key: client.config().keys().blob(&blob.digest), client, blob: blob.clone() };
    let (at, end) = (range.start, range.end.min(blob.size));
    if at >= end {
        // There is no range of no bytes; that the blob is there is part of the answer.
        source.check(is_whole).await?;
        return Ok(Box::pin(stream::empty()));
    }
    let body = source.client.retrying(|| source.get(at..end, is_whole)).await?;
    Ok(resuming(source, body, at..end))
}

struct Source {
    client: Arc<Client>,
    blob: Descriptor,
    key: String,
}

impl Source {
    /// The body of a range; a blob of another length than the descriptor's is another blob.
    async fn get(&self, range: Range<u64>, is_whole: bool) -> Result<BlobStream> {
        let opened = self.client.get(&self.key, range).await.map_err(|error| self.about(error))?;
        let Part { body, total, .. } = opened.ok_or_else(|| self.lost())?;
        self.check_size(total.filter(|_| is_whole))?;
        Ok(body)
    }

    async fn check(&self, is_whole: bool) -> Result<()> {
        let found = self.client.retrying(|| self.client.head(&self.key)).await.map_err(|error| self.about(error))?;
        let found = found.ok_or_else(|| self.lost())?;
        self.check_size(Some(found.size).filter(|_| is_whole))
    }

    fn check_size(&self, stored: Option<u64>) -> Result<()> {
        match stored.filter(|stored| *stored != self.blob.size) {
            Some(stored) => {
                let error = error::new(ErrorKind::DigestMismatch, "blob has another length than its descriptor says");
                Err(self.about(error.with("size", self.blob.size).with("got", stored)))
            }
            None => Ok(()),
        }
    }

    fn lost(&self) -> Error {
        self.about(error::new(ErrorKind::NotFound, "blob not found"))
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error.with("blob", self.blob.digest))
    }
}

#[async_trait]
impl ResumeSource for Source {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        self.client.retrying(|| self.get(range.clone(), false)).await
    }

    fn about(&self, error: Error) -> Error {
        self.about(error)
    }
}
