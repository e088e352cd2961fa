//! Streams of entries: a stream that breaks goes on where it stopped.

use std::ops::Range;

use async_trait::async_trait;
use cache_core::kit::{ContentRange, ResumeSource, resuming, skip_bytes};
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use super::Entry;
use crate::error;

const MESSAGE: &str = "cannot read the blob";

/// Opens a blob that is kept in `entry`, or a part of it.
pub(crate) async fn open(entry: Entry, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let at = range.as_ref().map_or(0, |range| range.start);
    let ahead = entry.session().config().environment().read_ahead().clone();
    let source = Source { entry, blob: blob.clone(), is_whole: range.is_none() };
    Ok(match source.body(ahead.first(&(at..end))).await? {
        (body, Extent::Range) => ahead.read(source, body, at..end),
        (body, Extent::Rest) => resuming(source, body, at..end),
    })
}

struct Source {
    entry: Entry,
    blob: Descriptor,
    /// Whether all of it is wanted, in however many requests.
    is_whole: bool,
}

/// How far a body goes: a service that knows no ranges sends everything.
enum Extent {
    Range,
    Rest,
}

impl Source {
    /// The bytes from the start of the range on, with an end when nothing moves. What comes after the end of a whole blob
    /// is noticed by the verifying reader; its length is known from its header.
    async fn body(&self, range: Range<u64>) -> Result<(BlobStream, Extent)> {
        let body = self.entry.session().retrying(|| self.get(range.clone())).await;
        body.map_err(|error| self.about(error))
    }

    /// The body from the start of the range on; a blob that is wanted whole and at once is asked for without a range.
    async fn get(&self, range: Range<u64>) -> Result<(BlobStream, Extent)> {
        let is_ranged = range != (0..self.blob.size) && range.start < self.blob.size;
        // There is no range of no bytes: a look at the first one tells whether the blob is there.
        let asked = is_ranged.then(|| range.start..range.end.max(range.start + 1));
        let response = self.entry.get(asked).await?;
        match response.status() {
            StatusCode::OK => {
                self.check_size(response.content_length())?;
                let body = self.entry.session().http().stream(response, MESSAGE);
                Ok((skip_bytes(body, range.start), Extent::Rest))
            }
            StatusCode::PARTIAL_CONTENT => {
                let header = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let given = header.map(ContentRange::parse);
                if given.and_then(|given| given.start).is_some_and(|start| start != range.start) {
                    return Err(error::new(ErrorKind::Unavailable, "service sent another range"));
                }
                self.check_size(given.and_then(|given| given.total).filter(|_| self.is_whole))?;
                Ok((self.entry.session().http().stream(response, MESSAGE), Extent::Range))
            }
            // The entry is shorter than the blob: another one.
            _ => Err(error::new(ErrorKind::DigestMismatch, "blob is shorter than its descriptor says")),
        }
    }

    /// A body of another length than the descriptor's is another blob.
    fn check_size(&self, stored: Option<u64>) -> Result<()> {
        match stored.filter(|stored| *stored != self.blob.size) {
            Some(stored) => {
                let error = error::new(ErrorKind::DigestMismatch, "blob has another length than its descriptor says");
                Err(error.with("size", self.blob.size).with("got", stored))
            }
            None => Ok(()),
        }
    }

    fn about(&self, error: Error) -> Error {
        error.with("backend", crate::KIND).with("blob", self.blob.digest)
    }
}

#[async_trait]
impl ResumeSource for Source {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        Ok(self.body(range).await?.0)
    }

    fn about(&self, error: Error) -> Error {
        self.about(error)
    }
}
