//! [`resuming`]: streams that resume where they broke, for every store that can be read from an offset.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{self, StreamExt};

/// How often a stream is resumed without progress in between.
const RESUMES: u32 = 5;
/// How many bytes count as progress: a stream that breaks after every byte would never end otherwise.
const PROGRESS: u64 = 64 << 10;

/// How often a stalled stream is resumed: each stall takes as long as a server may be silent.
const SILENCES: u32 = 1;

/// A source of a stream's bytes.
///
/// ```
/// use std::ops::Range;
///
/// use bytes::Bytes;
/// use cache_kit::{ResumeSource, resuming};
/// use cache_core::seams::stream_of;
/// use cache_core::{BlobStream, Error, Result};
/// use futures_util::TryStreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// struct Text(&'static str);
///
/// #[async_trait::async_trait]
/// impl ResumeSource for Text {
///     async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
///         Ok(stream_of(self.0[range.start as usize..range.end as usize].into()))
///     }
///
///     fn with_context(&self, error: Error) -> Error {
///         error.with("text", self.0)
///     }
/// }
///
/// // The first stream ends too early; the rest is opened again.
/// let pieces: Vec<Bytes> = resuming(Text("abcdef"), stream_of("abc".into()), 0..6).try_collect().await?;
/// assert_eq!(pieces.concat(), b"abcdef");
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait ResumeSource: Send + Sync {
    /// Opens a stream of the bytes in `range`, which begins where the last stream stopped.
    ///
    /// # Errors
    /// The error of the store; it is not retried.
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream>;

    /// Adds to an error what it is about.
    fn with_context(&self, error: Error) -> Error;
}

/// The bytes in `range`, of which `body` is the first stream. A stream that breaks or ends early is opened again where
/// it stopped, up to 5 times without 64 KiB in between. An error that is not retryable ends it at once.
///
/// Bytes after the end of the range are left out.
pub fn resuming(source: impl ResumeSource + 'static, body: BlobStream, range: Range<u64>) -> BlobStream {
    let reading = Reading {
        source,
        body: Some(body),
        at: range.start,
        end: range.end,
        resumes: 0,
        got_on: range.start,
        silences: 0,
    };
    Box::pin(stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    }))
}

struct Reading<S> {
    source: S,
    /// `None` when the stream broke.
    body: Option<BlobStream>,
    at: u64,
    end: u64,
    resumes: u32,
    /// The offset of the last progress.
    got_on: u64,
    /// How often the stream stalled.
    silences: u32,
}

impl<S: ResumeSource> Reading<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let cause = match self.poll_body().await? {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => return Ok(Some(self.take(piece))),
                None => self.source.with_context(Error::new(ErrorKind::Unavailable, "blob ended early")),
                Some(Err(error)) if !error.is_retryable() => return Err(self.source.with_context(error)),
                Some(Err(error)) => error,
            };
            self.body = None;
            self.resumes += 1;
            self.silences += u32::from(cause.silent_for().is_some());
            if self.resumes > RESUMES || self.silences > SILENCES {
                let error = cause.with("got", self.at).with_tries(self.resumes);
                return Err(self.source.with_context(error.with_retryable(false)));
            }
        }
        Ok(None)
    }

    /// Reads from the connection. If it broke, a new one is opened where the last one stopped.
    async fn poll_body(&mut self) -> Result<Option<Result<Bytes>>> {
        let body = match &mut self.body {
            Some(body) => body,
            None => self.body.insert(self.source.reopen(self.at..self.end).await?),
        };
        Ok(body.next().await)
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        piece.truncate(left);
        self.at += piece.len() as u64;
        if self.at - self.got_on >= PROGRESS {
            (self.got_on, self.resumes) = (self.at, 0);
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream::TryStreamExt;

    use super::*;

    /// Returns this many bytes each time, and then breaks.
    struct Breaking {
        bytes: &'static [u8],
        each: usize,
        opened: Arc<AtomicUsize>,
    }

    impl Breaking {
        fn body(&self, at: u64) -> BlobStream {
            let rest = &self.bytes[at as usize..];
            let piece = Bytes::from_static(&rest[..self.each.min(rest.len())]);
            Box::pin(stream::iter([Ok(piece), Err(Error::new(ErrorKind::Unavailable, "reset"))]))
        }
    }

    #[async_trait]
    impl ResumeSource for Breaking {
        async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            Ok(self.body(range.start))
        }

        fn with_context(&self, error: Error) -> Error {
            error.with("blob", "b")
        }
    }

    async fn read(each: usize, range: Range<u64>) -> (Result<Vec<Bytes>>, usize) {
        let opened = Arc::new(AtomicUsize::new(0));
        let source = Breaking { bytes: b"0123456789", each, opened: Arc::clone(&opened) };
        let body = source.body(range.start);
        (resuming(source, body, range).try_collect().await, opened.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_stream_resumes_where_it_broke_and_ends_with_its_range() {
        let (pieces, opened) = read(3, 1..9).await;
        assert_eq!((pieces.unwrap().concat(), opened), (b"12345678".to_vec(), 2));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_after_every_byte_fails() {
        let (pieces, opened) = read(1, 0..10).await;
        assert_eq!((pieces.unwrap_err().context("got"), opened), (Some("6"), 5));
    }

    #[tokio::test]
    async fn a_stream_without_progress_fails() {
        let (pieces, opened) = read(0, 0..10).await;
        let error = pieces.unwrap_err();
        assert_eq!((opened, error.is_retryable(), error.context("tries")), (5, false, Some("6")));
        assert_eq!((error.context("got"), error.context("blob")), (Some("0"), Some("b")));
    }
}
