//! Streams of blobs: a stream that breaks goes on where it stopped.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use futures_util::stream::{self, StreamExt};

use crate::client::{Client, Part};
use crate::error;

/// How often a stream goes on that broke without a byte in between.
const RESUMES: u32 = 5;

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
    let reading = Reading { source, body: Some(body), at, end, resumes: 0 };
    Ok(Box::pin(stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    })))
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

struct Reading {
    source: Source,
    /// None when the stream broke.
    body: Option<BlobStream>,
    at: u64,
    end: u64,
    resumes: u32,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let cause = match self.poll_body().await? {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => return Ok(Some(self.take(piece))),
                None => error::new(ErrorKind::Unavailable, "blob ended early"),
                Some(Err(error)) => error,
            };
            self.body = None;
            self.resumes += 1;
            if self.resumes > RESUMES {
                let error = cause.with("got", self.at).with("tries", self.resumes);
                return Err(self.source.about(error.with_retryable(false)));
            }
        }
        Ok(None)
    }

    /// What the connection gives, opened again where the last one stopped if that one broke.
    async fn poll_body(&mut self) -> Result<Option<Result<Bytes>>> {
        if self.body.is_none() {
            let (client, range, source) = (Arc::clone(&self.source.client), self.at..self.end, &self.source);
            self.body = Some(client.retrying(|| source.get(range.clone(), false)).await?);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        Ok(body.next().await)
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        piece.truncate(left);
        self.at += piece.len() as u64;
        self.resumes = 0;
        piece
    }
}
