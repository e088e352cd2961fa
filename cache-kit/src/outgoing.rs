//! [`Outgoing`]: the body of an upload request, which is sent whole or fails, and whose stalls are detected.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::future::{Either, select};
use futures_util::stream::{self, Stream, StreamExt};

/// The bytes handed to the connection at once.
const PIECE: usize = 64 << 10;

/// Bytes as the body of a request.
pub struct Outgoing {
    stream: BlobStream,
    is_over: bool,
    flow: Arc<Flow>,
}

/// The state of a body that is being sent.
#[derive(Debug, Default)]
pub struct Flow {
    asked: AtomicU64,
    is_source_slow: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Outgoing {
    /// `size` bytes of `stream`, which is a blob.
    ///
    /// The last piece is held back until the source has ended without an error. A connection that has all promised
    /// bytes does not poll for more, and so would miss the error of a source that only finds out at its end that its
    /// bytes were wrong.
    #[must_use]
    pub fn new(stream: BlobStream, size: u64) -> Self {
        Self::checked(held_back(stream, size))
    }

    /// Bytes in memory.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        Self::checked(Box::pin(stream::unfold(bytes, |mut bytes| async move {
            let piece = bytes.split_to(PIECE.min(bytes.len()));
            (!piece.is_empty()).then_some((Ok(piece), bytes))
        })))
    }

    /// A stream that is known to have the right length.
    #[must_use]
    pub fn checked(stream: BlobStream) -> Self {
        Self { stream, is_over: false, flow: Arc::default() }
    }

    /// Its state.
    #[must_use]
    pub fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }
}

/// `size` bytes of `stream`, whose last piece comes when the stream has ended without an error.
///
/// The stream fails with [`ErrorKind::DigestMismatch`] for one that is longer, and with [`ErrorKind::Unavailable`] for
/// one that is shorter.
pub fn held_back(stream: BlobStream, size: u64) -> BlobStream {
    let whole = Whole { stream, held: None, left: size };
    Box::pin(stream::try_unfold(whole, |mut whole| async move { Ok(whole.next().await?.map(|piece| (piece, whole))) }))
}

struct Whole {
    stream: BlobStream,
    held: Option<Bytes>,
    left: u64,
}

impl Whole {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.stream.next().await.transpose()? {
            let left = self.left.checked_sub(piece.len() as u64);
            self.left =
                left.ok_or_else(|| wrong(ErrorKind::DigestMismatch, "blob is longer than its descriptor says"))?;
            if let Some(piece) = self.held.replace(piece).filter(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
        }
        match self.left {
            0 => Ok(self.held.take().filter(|piece| !piece.is_empty())),
            left => Err(wrong(ErrorKind::Unavailable, "blob ended early").with("missing", left)),
        }
    }
}

fn wrong(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, message)
}

/// The error of the source is kept in the [`Flow`]: the HTTP client only reports that the request broke.
impl Stream for Outgoing {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = self.stream.poll_next_unpin(cx);
        self.flow.asked.fetch_add(1, Ordering::Relaxed);
        self.flow.is_source_slow.store(polled.is_pending(), Ordering::Relaxed);
        let next = ready!(polled);
        self.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next.map(|piece| {
            piece.map_err(|error| {
                *self.flow.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                std::io::Error::other("the source failed")
            })
        }))
    }
}

impl Flow {
    /// The error of the source, if that ended the request.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The output of the future; a slow source is waited for.
    ///
    /// # Errors
    /// [`Error::silence`] with this message if for so long neither more of the body is requested nor an answer comes.
    pub async fn unless_stalled<T>(
        &self,
        idle: Option<Duration>,
        message: &str,
        future: impl Future<Output = T>,
    ) -> Result<T> {
        let mut future = pin!(future);
        let Some(idle) = idle else { return Ok(future.await) };
        let mut seen = self.asked.load(Ordering::Relaxed);
        loop {
            match select(future.as_mut(), pin!(tokio::time::sleep(idle))).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right(_) => {
                    let asked = self.asked.load(Ordering::Relaxed);
                    if asked == seen && !self.is_source_slow.load(Ordering::Relaxed) {
                        return Err(Error::silence(message, idle));
                    }
                    seen = asked;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::TryStreamExt;

    use super::*;

    async fn sent(size: u64, pieces: Vec<Result<Bytes>>) -> (Vec<u8>, Option<Error>) {
        let mut body = Outgoing::new(Box::pin(stream::iter(pieces)), size);
        let (flow, mut sent) = (body.flow(), Vec::new());
        while let Ok(Some(piece)) = body.try_next().await {
            sent.extend_from_slice(&piece);
        }
        (sent, flow.take_failure())
    }

    fn piece(text: &'static str) -> Result<Bytes> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn the_last_piece_waits_for_the_end_of_the_source() {
        let (sent_whole, none) = sent(4, vec![piece("ab"), piece(""), piece("cd")]).await;
        assert_eq!((sent_whole, none.is_none()), (b"abcd".to_vec(), true));
        let late = Err(wrong(ErrorKind::DigestMismatch, "wrong bytes"));
        let (cut, error) = sent(4, vec![piece("ab"), piece("cd"), late]).await;
        assert_eq!((cut, error.unwrap().kind()), (b"ab".to_vec(), ErrorKind::DigestMismatch));
        assert_eq!(sent(4, vec![piece("abc")]).await.1.unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!(sent(4, vec![piece("abcde")]).await.1.unwrap().kind(), ErrorKind::DigestMismatch);
        assert!(sent(0, vec![]).await.1.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_waited_for_and_a_slow_taker_is_not() {
        let idle = Some(Duration::from_secs(1));
        let slow = stream::once(async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            piece("ab")
        });
        let mut body = Outgoing::new(Box::pin(slow), 2);
        let flow = body.flow();
        assert_eq!(flow.unless_stalled(idle, "stuck", body.try_next()).await.unwrap().unwrap().unwrap(), "ab");
        let stalled = Flow::default().unless_stalled(idle, "stuck", std::future::pending::<()>()).await;
        assert_eq!(stalled.unwrap_err().silent_for(), idle);
    }
}
