//! Reading blobs: the provider seam, streams, and the one place where a whole blob is verified.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};

use crate::hashing::StreamHasher;
use crate::{Descriptor, Digest, Error, ErrorKind, Result, Timestamp};

/// The bytes of a blob, piece by piece; it ends after the first error.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What a store says about a blob it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// The stored size in bytes.
    pub size: u64,
    /// When the blob was written or last refreshed, where the store says it.
    pub modified: Option<Timestamp>,
}

impl BlobInfo {
    /// A blob of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, modified: None }
    }

    /// Adds when it was last written.
    #[must_use]
    pub fn with_modified(self, modified: Timestamp) -> Self {
        Self { modified: Some(modified), ..self }
    }
}

/// Where blobs come from.
///
/// Both calls may run many times at once and are safe to drop at any point.
#[async_trait]
pub trait BlobProvider: Send + Sync {
    /// Looks a blob up without reading it; `None` when the store does not have it.
    ///
    /// # Errors
    /// Only when the store could not answer; absence is not an error.
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>>;

    /// Opens a blob, or the part of it in `range` (which lies within the descriptor's size).
    ///
    /// The bytes are not verified here: callers go through [`read_verified`] or [`read_all`]. A stream may be reopened
    /// at any offset.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the store does not have the blob.
    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream>;
}

/// Opens a whole blob as a stream that fails at its end when size or digest are not those of the descriptor.
///
/// # Errors
/// Whatever `from` answers; the stream fails with [`ErrorKind::DigestMismatch`] on wrong bytes and with
/// [`ErrorKind::Unavailable`] on too few, which a retry may cure.
pub async fn read_verified(from: &dyn BlobProvider, blob: &Descriptor) -> Result<BlobStream> {
    let inner = from.read(blob, None).await?;
    Ok(verify(blob.clone(), inner))
}

/// Wraps a stream of a whole blob so that it fails at its end when the bytes are not those of the descriptor.
pub(crate) fn verify(blob: Descriptor, inner: BlobStream) -> BlobStream {
    let hasher = Some(StreamHasher::new(blob.digest.digester(), blob.size));
    Box::pin(Verifying { inner, blob, hasher, read: 0, has_ended: false })
}

/// Reads a whole document into memory, verified, and refuses to read more than `limit` bytes.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] when the descriptor promises more than `limit`, else as [`read_verified`].
pub async fn read_all(from: &dyn BlobProvider, blob: &Descriptor, limit: u64) -> Result<Bytes> {
    if blob.size > limit {
        let error = Error::new(ErrorKind::LimitExceeded, "document is too large to read");
        return Err(error.with("blob", blob.digest).with("size", blob.size).with("limit", limit));
    }
    let mut stream = read_verified(from, blob).await?;
    let mut first = match stream.next().await {
        Some(first) => first?,
        None => return Ok(Bytes::new()),
    };
    let mut rest = BytesMut::new();
    while let Some(piece) = stream.next().await {
        if rest.is_empty() {
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&piece?);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// A stream of one piece.
#[must_use]
pub fn stream_of(bytes: Bytes) -> BlobStream {
    Box::pin(futures_util::stream::once(async { Ok(bytes) }))
}

struct Verifying {
    inner: BlobStream,
    blob: Descriptor,
    /// Gone once the stream has told its last.
    hasher: Option<StreamHasher>,
    read: u64,
    /// Whether `inner` has no more bytes; they may not all be hashed.
    has_ended: bool,
}

impl Stream for Verifying {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.poll_verified(cx));
        if !matches!(next, Some(Ok(_))) {
            self.hasher = None;
        }
        Poll::Ready(next)
    }
}

impl Verifying {
    fn poll_verified(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Some(hasher) = &mut self.hasher else { return Poll::Ready(None) };
        if let Err(error) = ready!(hasher.poll_ready(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        if !self.has_ended {
            match ready!(self.inner.poll_next_unpin(cx)) {
                Some(Ok(piece)) => {
                    hasher.update(&piece);
                    self.read = self.read.saturating_add(piece.len() as u64);
                    return Poll::Ready(Some(self.check_length(piece)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.read < self.blob.size => return Poll::Ready(Some(Err(self.ended_early()))),
                None => self.has_ended = true,
            }
        }
        let found = ready!(hasher.poll_finish(cx));
        Poll::Ready(found.and_then(|found| self.check_digest(found)).err().map(Err))
    }

    fn check_length(&self, piece: Bytes) -> Result<Bytes> {
        if self.read <= self.blob.size {
            return Ok(piece);
        }
        let error = Error::new(ErrorKind::DigestMismatch, "blob is longer than its descriptor says");
        Err(error.with("blob", self.blob.digest).with("size", self.blob.size))
    }

    fn ended_early(&self) -> Error {
        let error = Error::new(ErrorKind::Unavailable, "blob ended early");
        error.with("blob", self.blob.digest).with("size", self.blob.size).with("got", self.read)
    }

    fn check_digest(&self, found: Digest) -> Result<()> {
        if found == self.blob.digest {
            return Ok(());
        }
        let error = Error::new(ErrorKind::DigestMismatch, "blob holds other bytes than its digest says");
        Err(error.with("blob", self.blob.digest).with("got", found))
    }
}
