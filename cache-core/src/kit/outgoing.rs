//! [`Outgoing`]: a blob on its way into one request, which ends whole or not at all, and tells whether it moves.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{Stream, StreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::seams::BlobStream;

/// The bytes of a blob as the body of a request of known length.
///
/// The last piece is held back until the source has ended well: who has every byte that was promised asks for no more, and
/// would not hear of a source that finds out at its end that its bytes were wrong.
pub struct Outgoing {
    stream: BlobStream,
    held: Option<Bytes>,
    left: u64,
    is_over: bool,
    flow: Arc<Flow>,
}

/// What is known of a body that is being sent.
#[derive(Debug, Default)]
pub struct Flow {
    asked: AtomicU64,
    is_source_slow: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Outgoing {
    /// `size` bytes of `stream`.
    #[must_use]
    pub fn new(stream: BlobStream, size: u64) -> Self {
        Self { stream, held: None, left: size, is_over: false, flow: Arc::default() }
    }

    /// What is known of it.
    #[must_use]
    pub fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let Some(piece) = ready!(self.stream.poll_next_unpin(cx)).transpose()? else {
                self.is_over = true;
                return Poll::Ready(match self.left {
                    0 => self.held.take().map(Ok),
                    left => Some(Err(wrong(ErrorKind::Unavailable, "blob ended early").with("missing", left))),
                });
            };
            let Some(left) = self.left.checked_sub(piece.len() as u64) else {
                return Poll::Ready(Some(Err(wrong(
                    ErrorKind::DigestMismatch,
                    "blob is longer than its descriptor says",
                ))));
            };
            self.left = left;
            if let Some(piece) = self.held.replace(piece).filter(|piece| !piece.is_empty()) {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }
}

fn wrong(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, message)
}

/// The failure of the source is kept in the [`Flow`]: who sends the request says only that it broke.
impl Stream for Outgoing {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = self.poll_source(cx);
        self.flow.asked.fetch_add(1, Ordering::Relaxed);
        self.flow.is_source_slow.store(polled.is_pending(), Ordering::Relaxed);
        Poll::Ready(ready!(polled).map(|piece| {
            piece.map_err(|error| {
                self.is_over = true;
                *self.flow.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                std::io::Error::other("the source failed")
            })
        }))
    }
}

impl Flow {
    /// Why the source ended the request, if it did.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the future gives, unless nobody asks for more of the body for so long, nor is there an answer; a slow source
    /// is waited for.
    pub async fn unless_stalled<T>(&self, idle: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let Some(idle) = idle else { return Some(future.await) };
        let mut seen = self.asked.load(Ordering::Relaxed);
        loop {
            match select(future.as_mut(), pin!(tokio::time::sleep(idle))).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right(_) => {
                    let asked = self.asked.load(Ordering::Relaxed);
                    if asked == seen && !self.is_source_slow.load(Ordering::Relaxed) {
                        return None;
                    }
                    seen = asked;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, TryStreamExt};

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
        assert_eq!(flow.unless_stalled(idle, body.try_next()).await.unwrap().unwrap().unwrap(), "ab");
        assert!(Flow::default().unless_stalled(idle, std::future::pending::<()>()).await.is_none());
    }
}
