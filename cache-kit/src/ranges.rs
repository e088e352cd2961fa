//! Reading a blob from a server: the whole or a part, in however many requests.

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

/// A blob on a server, as one request gives it.
#[async_trait]
pub trait RangeSource: Send + Sync {
    /// Asks once: for these bytes, which are some, or without a range for the whole.
    ///
    /// # Errors
    /// Whatever the server answers. One of status 416 is taken for a blob that is too short.
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer>;

    /// Who is told that a request is tried again.
    fn progress(&self) -> Arc<dyn Progress>;

    /// Says what an error is about.
    fn with_context(&self, error: Error) -> Error;
}

/// What a server answers who is asked for a blob or a part of one.
pub struct RangeAnswer {
    /// The bytes as they come, with an end when nothing moves.
    pub body: BlobStream,
    /// What `Content-Range` says, if there is one.
    pub range: Option<ContentRange>,
    /// What `Content-Length` says, if there is one.
    pub length: Option<u64>,
    /// What `Content-Encoding` says.
    pub encoding: ContentEncoding,
}

/// Reads a blob, or a part of it: one request, or several at once where the blob is large and the server knows ranges
/// ([`ReadAhead`](crate::ReadAhead)). A request is tried again by the policy, and a stream that breaks goes on where
/// it stopped. An empty range asks for a byte, since that the blob is there is part of the answer.
///
/// What a server may answer who is asked for a part: that part; the whole, which is read from where the part begins; a part
/// that is [encoded](ContentEncoding) or does not say where it begins, which is of no use, so that the whole is asked for
/// instead. Another part is an error that may pass.
///
/// # Errors
/// [`ErrorKind::DigestMismatch`] for a blob of another length than its descriptor's, as far as the server says it. What
/// comes after the end of a whole blob is left for the verifying reader to notice. Otherwise whatever the source answers.
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
    let ahead = &tuning.read_ahead;
    Ok(match reader.open(ahead.first(&range)).await? {
        (body, Extent::Part) => ahead.read(reader, body, range),
        (body, Extent::Rest) => resuming(reader, body, range),
    })
}

struct Reader<S> {
    source: S,
    size: u64,
    /// Whether all of it is wanted, in however many requests.
    is_whole: bool,
    tuning: Tuning,
}

/// How far a body goes.
enum Extent {
    /// To the end of the range that was asked for.
    Part,
    /// To the end of the blob: the server knows no ranges.
    Rest,
}

impl<S: RangeSource> Reader<S> {
    async fn open(&self, range: Range<u64>) -> Result<(BlobStream, Extent)> {
        let progress = self.source.progress();
        let opened = self.tuning.retry.run_final(&*progress, || self.open_once(range.clone())).await;
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

    /// The range to ask for; none where the whole is wanted at once.
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

/// Whether the bytes are others than those that were asked for. Some stores keep the header as a note: their bytes are as
/// many as were asked for.
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
