//! Streams of entries: a stream that breaks goes on where it stopped.

use std::ops::Range;

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};

use super::Entry;
use crate::error::{self, within};

/// How often a stream goes on that broke without a byte in between.
const RESUMES: u32 = 5;

/// Opens a blob that is kept in `entry`, or a part of it.
pub(crate) async fn open(entry: Entry, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let at = range.as_ref().map_or(0, |range| range.start);
    let is_whole = range.is_none();
    let source = Source { entry, blob: blob.clone() };
    let body = source.entry.session().retrying(|| source.get(at..end, is_whole)).await;
    let body = body.map_err(|error| source.about(error))?;
    let reading = Reading { source, body: Some(body), at, end, resumes: 0 };
    Ok(Box::pin(stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    })))
}

struct Source {
    entry: Entry,
    blob: Descriptor,
}

type Body = BoxStream<'static, reqwest::Result<Bytes>>;

impl Source {
    /// The body from the start of the range on.
    async fn get(&self, range: Range<u64>, is_whole: bool) -> Result<Body> {
        let is_ranged = !is_whole && range.start < self.blob.size;
        // There is no range of no bytes: a look at the first one tells whether the blob is there.
        let asked = is_ranged.then(|| range.start..range.end.max(range.start + 1));
        let response = self.entry.get(asked).await?;
        match response.status() {
            StatusCode::OK => self.whole(response).map(|body| skip(body, range.start)),
            StatusCode::PARTIAL_CONTENT if starts_at(&response, range.start) => Ok(response.bytes_stream().boxed()),
            StatusCode::PARTIAL_CONTENT => Err(error::new(ErrorKind::Unavailable, "service sent another range")),
            // The entry is shorter than the blob: another one.
            _ => Err(error::new(ErrorKind::DigestMismatch, "blob is shorter than its descriptor says")),
        }
    }

    /// A body of another length than the descriptor's is another blob.
    fn whole(&self, response: Response) -> Result<Body> {
        match response.content_length().filter(|length| *length != self.blob.size) {
            Some(length) => {
                let error = error::new(ErrorKind::DigestMismatch, "blob has another length than its descriptor says");
                Err(error.with("size", self.blob.size).with("got", length))
            }
            None => Ok(response.bytes_stream().boxed()),
        }
    }

    fn about(&self, error: Error) -> Error {
        error.with("blob", self.blob.digest)
    }
}

fn starts_at(response: &Response, start: u64) -> bool {
    let header = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let given = header.and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
    given.is_none_or(|given: u64| given == start)
}

/// The body without its first bytes: what a server sends that does not know ranges.
fn skip(body: Body, bytes: u64) -> Body {
    if bytes == 0 {
        return body;
    }
    let skipped = body.scan(bytes, |left, piece| {
        let piece = piece.map(|mut piece| {
            let cut = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= cut as u64;
            piece.split_off(cut)
        });
        async move { Some(piece) }
    });
    skipped.boxed()
}

struct Reading {
    source: Source,
    /// None when the stream broke.
    body: Option<Body>,
    at: u64,
    end: u64,
    resumes: u32,
}

impl Reading {
    /// The next piece. What comes after the end is left out for a range, and noticed by the verifying reader for a
    /// whole blob, whose length is known from its header.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let cause = match self.poll_body().await.map_err(|error| self.source.about(error))? {
                Ok(Some(piece)) if piece.is_empty() => continue,
                Ok(Some(piece)) => return Ok(Some(self.take(piece))),
                Ok(None) => error::new(ErrorKind::Unavailable, "blob ended early"),
                Err(error) => error,
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
    async fn poll_body(&mut self) -> Result<Result<Option<Bytes>>> {
        const MESSAGE: &str = "cannot read the blob";
        let source = &self.source;
        if self.body.is_none() {
            let range = self.at..self.end;
            let again = source.entry.session().retrying(|| source.get(range.clone(), range.start == 0)).await?;
            self.body = Some(again);
        }
        let Some(body) = &mut self.body else { return Ok(Ok(None)) };
        let idle = source.entry.session().http().idle;
        Ok(match within(idle, body.next()).await {
            Some(next) => next.transpose().map_err(|error| error::transport(&error, MESSAGE)),
            None => Err(error::stalled(MESSAGE, idle.unwrap_or_default())),
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
