//! The body of an upload: it ends whole or not at all, and tells whether it moves.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        lock(&self.failure).take()
    }
}

/// The bytes of a blob on their way into one request after the other.
pub(crate) struct Source(Slot);

/// Where the source waits between two requests; a request that breaks does not bring it back.
type Slot = Arc<Mutex<Option<Whole>>>;

impl Source {
    pub(crate) fn new(blob: &Descriptor, stream: BlobStream) -> Self {
        let whole = Whole { stream, blob: blob.clone(), held: None, rest: Bytes::new(), read: 0 };
        Self(Arc::new(Mutex::new(Some(whole))))
    }

    /// Reads over the first bytes, which count for the verification all the same.
    pub(crate) async fn skip(&self, count: u64) -> Result<()> {
        let Some(mut whole) = lock(&self.0).take() else { return Ok(()) };
        let mut left = count;
        while left > 0 {
            let Some(piece) = whole.up_to(left).await? else { break };
            left -= piece.len() as u64;
        }
        *lock(&self.0) = Some(whole);
        Ok(())
    }

    /// The next `length` bytes.
    pub(crate) fn part(&self, length: u64) -> Part {
        Part { slot: Arc::clone(&self.0), length }
    }
}

/// The body of one request, of known length.
///
/// The last piece of a blob is held back until the source has ended well: the connection stops asking when it has every
/// byte, and a source that finds out at its end that the bytes were wrong would not be heard.
pub(crate) struct Part {
    slot: Slot,
    length: u64,
}

impl Part {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn into_body(self) -> (Body, Arc<Flow>) {
        let flow = Arc::new(Flow::default());
        let whole = lock(&self.slot).take();
        let stream = stream::try_unfold(Reading { whole, left: self.length, slot: self.slot }, Reading::next);
        let watched = Watched { inner: Box::pin(stream), flow: Arc::clone(&flow) };
        (Body::wrap_stream(watched), flow)
    }
}

struct Reading {
    whole: Option<Whole>,
    left: u64,
    slot: Slot,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        let Some(mut whole) = self.whole.take() else { return Ok(None) };
        let Some(piece) = whole.up_to(self.left).await? else { return Ok(None) };
        self.left -= piece.len() as u64;
        if self.left == 0 {
            *lock(&self.slot) = Some(whole);
        } else {
            self.whole = Some(whole);
        }
        Ok(Some((piece, self)))
    }
}

struct Whole {
    stream: BlobStream,
    blob: Descriptor,
    held: Option<Bytes>,
    /// What a piece had beyond the end of a part.
    rest: Bytes,
    read: u64,
}

impl Whole {
    /// The next piece, or as much of it as is wanted.
    async fn up_to(&mut self, most: u64) -> Result<Option<Bytes>> {
        if self.rest.is_empty() {
            match self.next().await? {
                Some(piece) => self.rest = piece,
                None => return Ok(None),
            }
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len());
        Ok(Some(self.rest.split_to(most)))
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.stream.next().await.transpose()? {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                    *lock(&self.flow.failure) = Some(error);
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
        let source = source(promised, pieces);
        read(source.part(promised.len() as u64)).await
    }

    fn source(promised: &[u8], pieces: Vec<Result<Bytes>>) -> Source {
        Source::new(&Descriptor::of(MediaType::OCI_LAYER, promised), Box::pin(stream::iter(pieces)))
    }

    async fn read(part: Part) -> (Vec<Bytes>, Option<Error>) {
        let whole = lock(&part.slot).take();
        let mut reading = Reading { whole, left: part.length, slot: part.slot };
        let mut sent = Vec::new();
        loop {
            match reading.next().await {
                Ok(Some((piece, next))) => (sent.push(piece), reading = next).1,
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
    #[tokio::test]
    async fn a_source_is_sent_in_parts_that_end_anywhere() {
        for skipped in [0, 1, 3, 4, 5] {
            let source = source(b"abcdefgh", vec![piece("abc"), piece("d"), piece("efgh")]);
            source.skip(skipped).await.unwrap();
            let parts = [read(source.part(2)).await, read(source.part(6 - skipped.min(5))).await];
            let sent: Vec<u8> = parts.into_iter().flat_map(|(pieces, _)| pieces.concat()).collect();
            assert_eq!(sent, b"abcdefgh".split_at(usize::try_from(skipped).unwrap()).1);
        }
    }

    #[tokio::test]
    async fn the_last_part_waits_for_the_end_of_the_source() {
        let late = Err(error::new(ErrorKind::DigestMismatch, "wrong bytes"));
        let source = source(b"abcd", vec![piece("ab"), piece("cd"), late]);
        source.skip(1).await.unwrap();
        assert_eq!(read(source.part(1)).await.0.concat(), b"b");
        let (pieces, error) = read(source.part(2)).await;
        assert_eq!((pieces.len(), error.unwrap().kind()), (0, ErrorKind::DigestMismatch));
    }

    #[tokio::test]
    async fn an_empty_blob_has_an_empty_source() {
        assert!(sent(b"", vec![piece("")]).await.1.is_none());
        assert_eq!(sent(b"", vec![piece("a")]).await.1.unwrap().kind(), ErrorKind::DigestMismatch);
    }
}
