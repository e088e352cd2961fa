//! Reading blobs: the provider seam, streams, and the one place where a whole blob is verified.

use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Descriptor, Digest, Digester, Timestamp};

/// The bytes of a blob, piece by piece; it ends after the first error.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What a store knows about one of its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The stored size in bytes.
    pub size: u64,
    /// When the blob was written or last refreshed, if the store reports it.
    pub modified: Option<Timestamp>,
    /// Whether it is in an archive tier: it has to be restored before it can be read.
    pub is_archived: bool,
}

impl BlobInfo {
    /// A blob of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, modified: None, is_archived: false }
    }
}

/// Reads blobs by descriptor.
///
/// Both calls may run many times at once and are safe to drop at any point.
///
/// ```
/// use cache_core::{BlobProvider, Descriptor, MediaType, read_all};
/// use cache_memory::MemoryCache;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryCache::new();
/// let blob = Descriptor::new(MediaType::OCI_LAYER, store.insert("a layer"), 7);
/// assert_eq!(store.stat(&blob).await?.map(|found| found.size), Some(7));
/// assert_eq!(read_all(&store, &blob, 1024).await?, "a layer"); // verified
///
/// let lost = Descriptor::of(MediaType::OCI_LAYER, b"another");
/// assert!(store.stat(&lost).await?.is_none());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait BlobProvider: Send + Sync {
    /// Looks up a blob without reading it; `None` if the store does not have it.
    ///
    /// # Errors
    /// Only when the store could not answer; absence is not an error.
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>>;

    /// Opens a blob, or the bytes of it in `range`, which lies within the descriptor's size.
    ///
    /// The bytes are not verified: use [`read_verified`] or [`read_all`] for that. The caller may reopen a blob at any
    /// offset.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the store does not have the blob.
    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream>;
}

/// Looks up a blob; one whose bytes are in its descriptor (`data`) is always there.
///
/// # Errors
/// As [`BlobProvider::stat`].
pub async fn stat_blob(from: &dyn BlobProvider, blob: &Descriptor) -> Result<Option<BlobInfo>> {
    match &blob.data {
        Some(_) => Ok(Some(BlobInfo::new(blob.size))),
        None => from.stat(blob).await,
    }
}

/// Opens a blob or a part of it; from the descriptor where that holds the bytes (`data`).
///
/// # Errors
/// As [`BlobProvider::read`].
pub async fn read_blob(from: &dyn BlobProvider, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let Some(data) = &blob.data else { return from.read(blob, range).await };
    let bytes = Bytes::copy_from_slice(data);
    let end = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    Ok(stream_of(match range {
        Some(range) => bytes.slice(end(range.start).min(end(range.end))..end(range.end)),
        None => bytes,
    }))
}

/// Opens a whole blob as a stream that fails at its end if its size or digest differs from the descriptor's.
///
/// # Errors
/// Any error of `from`. The stream fails with [`ErrorKind::DigestMismatch`] on wrong bytes, and with
/// [`ErrorKind::Unavailable`] on too few, which a retry may fix.
pub async fn read_verified(from: &dyn BlobProvider, blob: &Descriptor) -> Result<BlobStream> {
    let inner = read_blob(from, blob, None).await?;
    Ok(verified(blob.clone(), inner))
}

/// Verifies a stream of a whole blob as [`read_verified`] does.
#[must_use]
pub fn verified(blob: Descriptor, inner: BlobStream) -> BlobStream {
    let digester = blob.digest.digester();
    let next = |(mut inner, blob, mut digester, read): (BlobStream, Descriptor, Digester, u64)| async move {
        let Some(piece) = inner.try_next().await? else {
            return check_end(&blob, read, || digester.finish()).map(|()| None);
        };
        let read = read.saturating_add(piece.len() as u64);
        check_length(&blob, read)?;
        digester.update(&piece);
        Ok(Some((piece, (inner, blob, digester, read))))
    };
    Box::pin(stream::try_unfold((inner, blob, digester, 0), next))
}

/// Reads a whole document into memory and verifies it; reads at most `limit` bytes.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] if the descriptor's size is above `limit`, otherwise as [`read_verified`].
pub async fn read_all(from: &dyn BlobProvider, blob: &Descriptor, limit: u64) -> Result<Bytes> {
    if blob.size > limit {
        let error = Error::new(ErrorKind::LimitExceeded, "document is too large to read");
        return Err(error.with_blob(blob.digest, blob.size).with("limit", limit));
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
    Box::pin(stream::once(async { Ok(bytes) }))
}

/// Checks what was read of a blob so far. Who hashes a blob on threads of its own says by this and [`check_end`] what
/// [`verified`] says.
///
/// # Errors
/// [`ErrorKind::DigestMismatch`] when more was read than the descriptor says.
pub fn check_length(blob: &Descriptor, read: u64) -> Result<()> {
    if read <= blob.size {
        return Ok(());
    }
    let error = Error::new(ErrorKind::DigestMismatch, "blob is longer than its descriptor says");
    Err(error.with_blob(blob.digest, blob.size))
}

/// Checks a blob of which everything was read; `digest` is called when the length is right.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when it ended early, [`ErrorKind::DigestMismatch`] when it holds other bytes.
pub fn check_end(blob: &Descriptor, read: u64, digest: impl FnOnce() -> Digest) -> Result<()> {
    if read < blob.size {
        let error = Error::new(ErrorKind::Unavailable, "blob ended early");
        return Err(error.with_blob(blob.digest, blob.size).with("got", read));
    }
    let found = digest();
    if found == blob.digest {
        return Ok(());
    }
    let error = Error::new(ErrorKind::DigestMismatch, "blob does not match its digest");
    Err(error.with("blob", blob.digest).with("got", found))
}
