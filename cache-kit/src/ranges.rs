//! Reads a blob from a server, whole or in part, in one or more requests.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::model::Descriptor;
use cache_core::seams::{BlobStream, Progress};
use cache_core::{Error, ErrorKind, Result};

use crate::{ContentEncoding, ContentRange, ResumeSource, Tuning, resuming, skip_bytes};

const MESSAGE: &str = "cannot read the blob";

/// The status of a range that begins after the end.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// A blob on a server, which one request reads whole or in part.
///
/// ```
/// use cache_kit::RangeSource;
///
/// async fn knows_ranges(blob: &dyn RangeSource) -> cache_core::Result<bool> {
///     Ok(blob.get(Some(0..1)).await?.range.is_some())
/// }
/// ```
#[async_trait]
pub trait RangeSource: Send + Sync {
    /// Sends one request, for a range that is not empty or for the whole blob.
    ///
    /// # Errors
    /// The error of the server; the status 416 means that the blob is too short.
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer>;

    /// Receives the events of retries.
    fn progress(&self) -> Arc<dyn Progress>;

    /// Says what an error is about.
    fn with_context(&self, error: Error) -> Error;
}

/// The answer of a server to a request for a blob or a part of it.
pub struct RangeAnswer {
    /// The bytes as they come; the stream fails if nothing comes for too long.
    pub body: BlobStream,
    /// The `Content-Range` header, if there is one.
    pub range: Option<ContentRange>,
    /// The `Content-Length` header, if there is one.
    pub length: Option<u64>,
    /// The `Content-Encoding` header.
    pub encoding: ContentEncoding,
}

/// Reads a blob, or a part of it: one request, or several at once if the blob is large and the server supports ranges
/// ([`ReadAhead`](crate::ReadAhead)). Requests are retried by the policy, and a stream that breaks is resumed where it
/// stopped. For an empty range one byte is requested, to find out whether the blob exists.
///
/// A server may answer a request for a part with that part, or with the whole blob, which is then read from the start
/// of the part. If the answer is [encoded](ContentEncoding), or a part without its position, the whole
/// blob is requested instead. Another part is a retryable error.
///
/// # Errors
/// [`ErrorKind::DigestMismatch`] if the server states another length than the descriptor. Bytes after the end of a
/// whole blob are left for the verifying reader to notice. Otherwise the errors of the source.
pub async fn read_ranges(
    source: impl RangeSource + 'static,
    blob: &Descriptor,
    range: Option<Range<u64>>,
    tuning: &Tuning,
) -> Result<BlobStream> {
    let is_whole = range.is_none();
    let end = range.as_ref().map_or(blob.size, |range| range.end.min(blob.size));
    let range = range.map_or(0, |range| range.start)..end;
    let reader = Reader { source, size: blob.size, is_whole, tuning: tuning.clone() };
    let ahead = tuning.read_ahead();
    Ok(match reader.open(ahead.first(&range)).await? {
        (body, Extent::Part) => ahead.read(reader, body, range),
        (body, Extent::Rest) => resuming(reader, body, range),
    })
}

struct Reader<S> {
    source: S,
    size: u64,
    /// Whether the whole blob is wanted.
    is_whole: bool,
    tuning: Tuning,
}

/// Where a body ends.
enum Extent {
    /// At the end of the requested range.
    Part,
    /// At the end of the blob: the server does not support ranges.
    Rest,
}

impl<S: RangeSource> Reader<S> {
    async fn open(&self, range: Range<u64>) -> Result<(BlobStream, Extent)> {
        let progress = self.source.progress();
        let opened = self.tuning.retry().run_final(&*progress, || self.open_once(range.clone())).await;
        // The last error is not retryable, so that callers do not retry.
        opened.map_err(|error| self.source.with_context(error))
    }

    async fn open_once(&self, range: Range<u64>) -> Result<(BlobStream, Extent)> {
        let Some(asked) = self.asked(&range) else { return self.whole(0).await };
        let answer = self.get(Some(asked.clone())).await?;
        let length = asked.end - asked.start;
        let is_untold = match answer.range {
            Some(given) => given.start.is_none(),
            None => answer.length == Some(length) && length != self.size,
        };
        if is_untold || (answer.range.is_some() && is_encoded(&answer, length)) {
            return self.whole(asked.start).await;
        }
        let Some(given) = answer.range else { return self.take_whole(answer, asked.start) };
        if given.start != Some(asked.start) {
            return Err(Error::new(ErrorKind::Unavailable, "the server sent another range").with("at", asked.start));
        }
        self.check_size(given.total.filter(|_| self.is_whole))?;
        Ok((answer.body, Extent::Part))
    }

    /// The range to request; `None` for the whole blob in one request.
    fn asked(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let is_all = *range == (0..self.size);
        let start = range.start.min(self.size.checked_sub(1)?);
        (!is_all).then(|| start..range.end.max(start.saturating_add(1)))
    }

    async fn whole(&self, start: u64) -> Result<(BlobStream, Extent)> {
        let answer = self.get(None).await?;
        match answer.range.and_then(|given| given.start) {
            None | Some(0) => self.take_whole(answer, start),
            Some(_) => Err(Error::new(ErrorKind::Unavailable, "the server sent another range").with("at", 0)),
        }
    }

    fn take_whole(&self, answer: RangeAnswer, start: u64) -> Result<(BlobStream, Extent)> {
        let body = if is_encoded(&answer, self.size) {
            answer.encoding.undo(answer.body, MESSAGE)?
        } else {
            self.check_size(answer.range.and_then(|given| given.total).or(answer.length))?;
            answer.body
        };
        Ok((skip_bytes(body, start), Extent::Rest))
    }

    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        self.source.get(range).await.map_err(|error| match error.status() {
            Some(RANGE_NOT_SATISFIABLE) => self.mismatch("blob is shorter than its descriptor says").with_source(error),
            _ => error,
        })
    }

    fn check_size(&self, stored: Option<u64>) -> Result<()> {
        match stored.filter(|stored| *stored != self.size) {
            Some(stored) => Err(self.mismatch("blob has another length than its descriptor says").with("got", stored)),
            None => Ok(()),
        }
    }

    fn mismatch(&self, message: &str) -> Error {
        Error::new(ErrorKind::DigestMismatch, message).with("size", self.size)
    }
}

/// Whether the bytes are encoded. Some stores keep the header of an upload as metadata: then there are as many bytes as
/// were requested, and they are not encoded.
fn is_encoded(answer: &RangeAnswer, asked: u64) -> bool {
    !answer.encoding.is_identity() && answer.length != Some(asked)
}

#[async_trait]
impl<S: RangeSource> ResumeSource for Reader<S> {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        Ok(self.open(range).await?.0)
    }

    fn with_context(&self, error: Error) -> Error {
        self.source.with_context(error)
    }
}
