//! The body of an upload: a blob in one request, or in several one after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Result};
use cache_kit::{Outgoing, held_back};
use futures_util::stream::{self, StreamExt};

/// The bytes of a blob, sent in one or more requests.
pub(crate) struct Source(Slot);

/// Holds the source between two requests; a request that breaks does not return it.
type Slot = Arc<Mutex<Option<Rest>>>;

impl Source {
    pub(crate) fn new(blob: &Descriptor, stream: BlobStream) -> Self {
        // The last piece waits for the source's end, so that the bytes of all parts are known to be right before it
        // goes out.
        let rest = Rest { stream: held_back(stream, blob.size), piece: Bytes::new() };
        Self(Arc::new(Mutex::new(Some(rest))))
    }

    /// Skips the first bytes; they still count for the verification.
    pub(crate) async fn skip(&self, count: u64) -> Result<()> {
        let Some(mut rest) = lock(&self.0).take() else { return Ok(()) };
        let mut left = count;
        while left > 0 {
            let Some(piece) = rest.up_to(left).await? else { break };
            left -= piece.len() as u64;
        }
        *lock(&self.0) = Some(rest);
        Ok(())
    }

    /// The next `length` bytes.
    pub(crate) fn part(&self, length: u64) -> Part {
        Part { slot: Arc::clone(&self.0), length }
    }
}

/// The body of one request, of known length.
pub(crate) struct Part {
    slot: Slot,
    length: u64,
}

impl Part {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn into_outgoing(self) -> Outgoing {
        let rest = lock(&self.slot).take();
        let reading = Reading { rest, left: self.length, slot: self.slot };
        Outgoing::checked(Box::pin(stream::try_unfold(reading, Reading::next)))
    }
}

struct Reading {
    rest: Option<Rest>,
    left: u64,
    slot: Slot,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        let Some(mut rest) = self.rest.take() else { return Ok(None) };
        let Some(piece) = rest.up_to(self.left).await? else { return Ok(None) };
        self.left -= piece.len() as u64;
        if self.left == 0 {
            *lock(&self.slot) = Some(rest);
        } else {
            self.rest = Some(rest);
        }
        Ok(Some((piece, self)))
    }
}

/// The unread rest of a source.
struct Rest {
    stream: BlobStream,
    /// The rest of a piece, which belongs to the next part.
    piece: Bytes,
}

impl Rest {
    /// The next piece, or as much of it as is wanted.
    async fn up_to(&mut self, most: u64) -> Result<Option<Bytes>> {
        if self.piece.is_empty() {
            match self.stream.next().await.transpose()? {
                Some(piece) => self.piece = piece,
                None => return Ok(None),
            }
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.piece.len());
        Ok(Some(self.piece.split_to(most)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use cache_core::{Error, ErrorKind, MediaType};

    use super::*;
    use crate::error;

    async fn sent(promised: &[u8], pieces: Vec<Result<Bytes>>) -> (Vec<Bytes>, Option<Error>) {
        let source = source(promised, pieces);
        read(source.part(promised.len() as u64)).await
    }

    fn source(promised: &[u8], pieces: Vec<Result<Bytes>>) -> Source {
        Source::new(&Descriptor::of(MediaType::OCI_LAYER, promised), Box::pin(stream::iter(pieces)))
    }

    async fn read(part: Part) -> (Vec<Bytes>, Option<Error>) {
        let rest = lock(&part.slot).take();
        let mut reading = Reading { rest, left: part.length, slot: part.slot };
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
