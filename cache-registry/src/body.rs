//! The body of an upload: it ends whole or not at all, and tells whether it moves.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result};
use futures_util::stream::{self, Stream, StreamExt};
use reqwest::Body;

use crate::error;

/// What is known of a body that is being sent.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    moved: AtomicU64,
    is_source_slow: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Flow {
    /// A number that changes when the connection asks for more.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Whether it is the source that has to come up with more.
    pub(crate) fn is_source_slow(&self) -> bool {
        self.is_source_slow.load(Ordering::Relaxed)
    }

    /// Why the source ended the upload, if it did.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body of exactly the blob's size.
///
/// The last piece is held back until the source has ended well: the connection stops asking when it has every byte, and
/// a source that finds out at its end that the bytes were wrong would not be heard.
pub(crate) fn body(blob: &Descriptor, source: BlobStream) -> (Body, Arc<Flow>) {
    let flow = Arc::new(Flow::default());
    let whole = Whole { source, blob: blob.clone(), held: None, read: 0 };
    let stream =
        stream::try_unfold(whole, |mut whole| async move { Ok(whole.next().await?.map(|piece| (piece, whole))) });
    let watched = Watched { inner: Box::pin(stream), flow: Arc::clone(&flow) };
    (Body::wrap_stream(watched), flow)
}

struct Whole {
    source: BlobStream,
    blob: Descriptor,
    held: Option<Bytes>,
    read: u64,
}

impl Whole {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.source.next().await.transpose()? {
            self.read = self.read.saturating_add(piece.len() as u64);
            if self.read > self.blob.size {
                return Err(self.wrong(ErrorKind::DigestMismatch, "blob is longer than its descriptor says"));
            }
            if let Some(piece) = self.held.replace(piece).filter(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
        }
        if self.read < self.blob.size {
            return Err(self.wrong(ErrorKind::Unavailable, "blob ended early").with("got", self.read));
        }
        Ok(self.held.take().filter(|piece| !piece.is_empty()))
    }

    fn wrong(&self, kind: ErrorKind, message: &str) -> Error {
        error::new(kind, message).with("blob", self.blob.digest).with("size", self.blob.size)
    }
}

struct Watched {
    inner: BlobStream,
    flow: Arc<Flow>,
}

impl Stream for Watched {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.poll_next_unpin(cx);
        self.flow.moved.fetch_add(1, Ordering::Relaxed);
        self.flow.is_source_slow.store(polled.is_pending(), Ordering::Relaxed);
        polled.map(|next| {
            next.map(|piece| {
                piece.map_err(|error| {
                    *self.flow.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    std::io::Error::other("the source failed")
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use cache_core::MediaType;

    use super::*;

    async fn sent(promised: &[u8], pieces: Vec<Result<Bytes>>) -> (Vec<Bytes>, Option<Error>) {
        let source: BlobStream = Box::pin(stream::iter(pieces));
        let blob = Descriptor::of(MediaType::OCI_LAYER, promised);
        let mut whole = Whole { source, blob, held: None, read: 0 };
        let mut sent = Vec::new();
        loop {
            match whole.next().await {
                Ok(Some(piece)) => sent.push(piece),
                Ok(None) => return (sent, None),
                Err(error) => return (sent, Some(error)),
            }
        }
    }

    fn piece(text: &'static str) -> Result<Bytes> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_sound_source_is_sent_whole() {
        let (sent, error) = sent(b"abcd", vec![piece(""), piece("ab"), piece(""), piece("cd"), piece("")]).await;
        assert_eq!((sent.concat(), error.is_none()), (b"abcd".to_vec(), true));
    }

    #[tokio::test]
    async fn the_last_piece_waits_for_the_end_of_the_source() {
        let late = Err(error::new(ErrorKind::DigestMismatch, "wrong bytes"));
        let (pieces, error) = sent(b"abcd", vec![piece("ab"), piece("cd"), late]).await;
        assert_eq!((pieces.concat(), error.unwrap().kind()), (b"ab".to_vec(), ErrorKind::DigestMismatch));
        let (pieces, error) = sent(b"abcd", vec![piece("abc")]).await;
        assert_eq!((pieces.len(), error.unwrap().kind()), (0, ErrorKind::Unavailable));
        let (_, error) = sent(b"abcd", vec![piece("abcde")]).await;
        assert_eq!(error.unwrap().kind(), ErrorKind::DigestMismatch);
    }
}
