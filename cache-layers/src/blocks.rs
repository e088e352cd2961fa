//! A stream cut into blocks of one size.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use cache_core::Result;
use cache_core::seams::BlobStream;
use futures_util::stream::{Stream, StreamExt};

/// Cuts a stream every `size` bytes; the last block may be shorter, and is empty only when the stream is.
pub(super) fn blocks(inner: BlobStream, size: usize) -> impl Stream<Item = Result<Bytes>> + Send + Unpin {
    Blocks { inner: Some(inner), size, piece: Bytes::new(), block: BytesMut::new(), is_first: true }
}

struct Blocks {
    /// `None` once it has ended.
    inner: Option<BlobStream>,
    size: usize,
    /// The rest of the last piece.
    piece: Bytes,
    block: BytesMut,
    is_first: bool,
}

impl Blocks {
    /// Moves bytes from the piece to the block; the block when it is full.
    fn fill(&mut self) -> Option<Bytes> {
        if self.block.is_empty() && self.piece.len() >= self.size {
            return Some(self.piece.split_to(self.size));
        }
        if self.block.capacity() < self.size {
            self.block.reserve(self.size);
        }
        let missing = self.size - self.block.len();
        self.block.extend_from_slice(&self.piece.split_to(missing.min(self.piece.len())));
        (self.block.len() == self.size).then(|| self.block.split().freeze())
    }
}

impl Stream for Blocks {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if !self.piece.is_empty()
                && let Some(block) = self.fill()
            {
                self.is_first = false;
                return Poll::Ready(Some(Ok(block)));
            }
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            match ready!(inner.poll_next_unpin(cx)) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.inner = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.inner = None;
                    let last = self.block.split().freeze();
                    let is_wanted = self.is_first || !last.is_empty();
                    return Poll::Ready(is_wanted.then_some(Ok(last)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
