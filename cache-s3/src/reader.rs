//! Streams of blobs: a stream that breaks goes on where it stopped.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use futures_util::stream;

use crate::client::{Client, Object};
use crate::error::{self, within};

const MESSAGE: &str = "cannot read the blob";
/// How often a stream goes on that broke without a byte in between.
const RESUMES: u32 = 5;

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let at = range.as_ref().map_or(0, |range| range.start);
    let source = Source { key: client.config().keys().blob(&blob.digest), client, blob: blob.clone() };
    let object = source.get(at, end).await?;
    let reading = Reading { source, object: Some(object), at, end, resumes: 0 };
    Ok(Box::pin(stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    })))
}

struct Source {
    client: Arc<Client>,
    key: String,
    blob: Descriptor,
}

impl Source {
    /// The object from `at` on; a blob that is wanted whole is asked for without a range.
    async fn get(&self, at: u64, end: u64) -> Result<Object> {
        // There is no range of no bytes: a look at the first one tells whether the blob is there.
        let last = if end > at { end - 1 } else { at };
        let is_whole = (at, end) == (0, self.blob.size);
        let range = (!is_whole && at < self.blob.size).then_some((at, last));
        let object = self.client.retrying(|| self.client.get(&self.key, range)).await;
        let object = object.map_err(|error| self.about(error))?;
        let is_wanted = match range {
            None => object.size.is_none_or(|size| size == self.blob.size),
            Some(_) => object.range.as_deref().is_some_and(|given| starts_at(given, at)),
        };
        if is_wanted {
            return Ok(object);
        }
        let message = match range {
            None => "blob has another length than its descriptor says",
            Some(_) => "the store sent another range",
        };
        let error = error::new(ErrorKind::DigestMismatch, message).with("size", self.blob.size);
        let error = object.size.into_iter().fold(error, |error, size| error.with("got", size));
        Err(self.about(error))
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error.with("blob", self.blob.digest), &self.key)
    }
}

/// Whether `bytes 5-9/10` begins at `at`.
fn starts_at(range: &str, at: u64) -> bool {
    let first = range.strip_prefix("bytes ").and_then(|range| range.split('-').next());
    first.and_then(|first| first.trim().parse().ok()) == Some(at)
}

struct Reading {
    source: Source,
    /// None when the stream broke.
    object: Option<Object>,
    at: u64,
    end: u64,
    resumes: u32,
}

impl Reading {
    /// The next piece. What comes after the end is left out.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let cause = match self.poll_object().await? {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => return Ok(Some(self.take(piece))),
                Some(Err(error)) => error,
                None => error::new(ErrorKind::Unavailable, "blob ended early"),
            };
            self.object = None;
            self.resumes += 1;
            if self.resumes > RESUMES {
                let error = cause.with("got", self.at).with("tries", self.resumes);
                return Err(self.source.about(error.with_retryable(false)));
            }
        }
        Ok(None)
    }

    /// What the connection gives, opened again where the last one stopped if that one broke.
    async fn poll_object(&mut self) -> Result<Option<Result<Bytes>>> {
        if self.object.is_none() {
            self.object = Some(self.source.get(self.at, self.end).await?);
        }
        let Some(object) = &mut self.object else { return Ok(None) };
        let idle = self.source.client.idle_timeout();
        Ok(match within(idle, object.next()).await {
            Some(next) => next,
            None => {
                Some(Err(error::new(ErrorKind::Unavailable, MESSAGE).with("cause", "nothing has moved for too long")))
            }
        })
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        piece.truncate(left);
        self.at += piece.len() as u64;
        self.resumes = 0;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_where_it_begins() {
        assert!(starts_at("bytes 5-9/10", 5));
        assert!(!starts_at("bytes 0-9/10", 5) && !starts_at("5-9/10", 5) && !starts_at("bytes */10", 0));
    }
}
