//! Compresses tar streams into layers, in one pass.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use cache_core::model::{Compression, CompressionKind, Descriptor, DiffId, Digest, Digester, MediaType, annotation};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{Stream, StreamExt};

use super::CodecPool;
use super::error::not_built_in;
use super::hashing::{Hashed, counted, hashed};

/// A finished layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoded {
    /// Media type (OCI's), digest, size, and the annotations that follow from the bytes.
    pub descriptor: Descriptor,
    /// The digest of the decompressed layer.
    pub diff_id: DiffId,
    /// How many bytes the layer decompresses to.
    pub uncompressed_size: u64,
}

impl Encoded {
    /// The layer `layer`, which decompresses to `tar`.
    pub(crate) fn new(media_type: MediaType, layer: Hashed, tar: Hashed) -> Self {
        let descriptor = Descriptor::new(media_type, layer.digest, layer.size);
        Self {
            descriptor: descriptor.with_annotation(annotation::UNCOMPRESSED, tar.digest),
            diff_id: DiffId(tar.digest),
            uncompressed_size: tar.size,
        }
    }
}

/// A layer that is being made: a stream of its bytes, and after its end the layer's descriptor.
///
/// Compression runs some megabytes ahead of the reader, and stops with it.
///
/// ```
/// use cache_core::{Compression, CompressionKind, Digest};
/// use cache_layers::{CodecPool, encode};
/// use cache_core::seams::stream_of;
/// use futures_util::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tar = stream_of("a tar file".into());
/// let mut layer = encode(tar, &Compression::new(CompressionKind::Uncompressed), &CodecPool::default())?;
/// while let Some(piece) = layer.next().await {
///     assert_eq!(piece?, "a tar file"); // or write it somewhere
/// }
/// assert_eq!(layer.finish()?.descriptor.digest, Digest::sha256(b"a tar file"));
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Encoding {
    bytes: BlobStream,
    encoded: Arc<OnceLock<Encoded>>,
    /// The media type of the descriptor, in place of OCI's.
    media_type: Option<MediaType>,
    created_at: Option<String>,
}

impl Encoding {
    /// A stream of a layer's bytes, with the descriptor that is known at its end.
    pub(crate) fn new(bytes: BlobStream, encoded: Arc<OnceLock<Encoded>>) -> Self {
        Self { bytes, encoded, media_type: None, created_at: None }
    }

    /// Sets the family of the media type (OCI or Docker) and when the tar was made.
    #[must_use]
    pub(crate) fn described(self, media_type: MediaType, created_at: Option<String>) -> Self {
        Self { media_type: Some(media_type), created_at, ..self }
    }

    /// The layer, after the stream has ended.
    ///
    /// # Errors
    /// When the stream has not ended, or has ended with an error.
    pub fn finish(&self) -> Result<Encoded> {
        let unfinished = || Error::new(ErrorKind::Unavailable, "layer was not read to its end").with_retryable(false);
        let mut encoded = self.encoded.get().cloned().ok_or_else(unfinished)?;
        if let Some(media_type) = &self.media_type {
            encoded.descriptor.media_type = media_type.clone();
        }
        if let Some(created_at) = &self.created_at {
            encoded.descriptor = encoded.descriptor.with_annotation(annotation::CREATED_AT, created_at);
        }
        Ok(encoded)
    }
}

impl Stream for Encoding {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoding").field("encoded", &self.encoded.get()).finish_non_exhaustive()
    }
}

/// Compresses a tar stream into a layer, and computes digest, diff ID and sizes in the same pass.
///
/// Equal tars give equal bytes at equal levels and versions of this crate, whatever the number of threads and however
/// the stream is cut into pieces.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when this build has no such compression. The stream fails with the errors of `tar`.
pub fn encode(tar: BlobStream, compression: &Compression, pool: &CodecPool) -> Result<Encoding> {
    encode_checked(Tar { bytes: tar, digest: None }, compression, pool, |_| Ok(()))
}

/// A tar stream.
pub(crate) struct Tar {
    pub(crate) bytes: BlobStream,
    /// Its digest, if the bytes are verified against it.
    pub(crate) digest: Option<Digest>,
}

impl Tar {
    /// The stream; `check` gets its digest at the end.
    fn hashed(self, pool: &CodecPool, check: impl FnOnce(Hashed) -> Result<()> + Send + 'static) -> BlobStream {
        match self.digest {
            Some(digest) => counted(self.bytes, digest, check),
            None => hashed(self.bytes, Digester::sha256(), pool, check),
        }
    }
}

/// Compresses a tar stream that `check` may refuse at its end, by its diff ID.
pub(crate) fn encode_checked(
    tar: Tar,
    compression: &Compression,
    pool: &CodecPool,
    check: impl FnOnce(DiffId) -> Result<()> + Send + 'static,
) -> Result<Encoding> {
    let check = move |found: Hashed| check(DiffId(found.digest)).map(|()| found);
    match compression.kind() {
        CompressionKind::Uncompressed => Ok(uncompressed(tar, pool, check)),
        #[cfg(feature = "gzip")]
        CompressionKind::Gzip => {
            let level = compression.level();
            compressed(tar, MediaType::OCI_LAYER_GZIP, pool, check, |tar| Ok(super::gzip::encode(tar, level, pool)))
        }
        #[cfg(feature = "zstd")]
        CompressionKind::Zstd => {
            let level = compression.level();
            compressed(tar, MediaType::OCI_LAYER_ZSTD, pool, check, |tar| super::zstd::encode(tar, level, pool))
        }
        #[cfg(feature = "estargz")]
        CompressionKind::Estargz => Ok(estargz(tar.bytes, compression.level(), pool, check)),
        kind => Err(not_built_in(kind)),
    }
}

/// A plain tar is its own layer: digest and diff ID are one.
fn uncompressed(tar: Tar, pool: &CodecPool, check: impl FnOnce(Hashed) -> Result<Hashed> + Send + 'static) -> Encoding {
    let encoded = Arc::new(OnceLock::new());
    let known = Arc::clone(&encoded);
    let bytes = tar.hashed(pool, move |found| {
        let found = check(found)?;
        let _ = known.set(Encoded::new(MediaType::OCI_LAYER, found, found));
        Ok(())
    });
    Encoding::new(bytes, encoded)
}

/// A layer that `codec` makes of the tar; both are hashed beside it.
#[cfg(any(feature = "gzip", feature = "zstd"))]
fn compressed(
    tar: Tar,
    media_type: MediaType,
    pool: &CodecPool,
    check: impl FnOnce(Hashed) -> Result<Hashed> + Send + 'static,
    codec: impl FnOnce(BlobStream) -> Result<BlobStream>,
) -> Result<Encoding> {
    let (of_tar, encoded) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let (tar_known, known) = (Arc::clone(&of_tar), Arc::clone(&encoded));
    let tar = tar.hashed(pool, move |found| {
        let _ = tar_known.set(check(found)?);
        Ok(())
    });
    let bytes = hashed(codec(tar)?, Digester::sha256(), pool, move |found| {
        if let Some(&tar) = of_tar.get() {
            let _ = known.set(Encoded::new(media_type, found, tar));
        }
        Ok(())
    });
    Ok(Encoding::new(bytes, encoded))
}

/// A layer whose diff ID covers its table of contents.
#[cfg(feature = "estargz")]
fn estargz(
    tar: BlobStream,
    level: Option<i32>,
    pool: &CodecPool,
    check: impl FnOnce(Hashed) -> Result<Hashed> + Send + 'static,
) -> Encoding {
    let (made, encoded) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let known = Arc::clone(&encoded);
    let layer = super::estargz::encode(tar, level, pool, Arc::clone(&made), check);
    let bytes = hashed(layer, Digester::sha256(), pool, move |found| {
        if let Some(made) = made.get() {
            let mut layer = Encoded::new(MediaType::OCI_LAYER_GZIP, found, made.stream);
            layer.descriptor = layer
                .descriptor
                .with_annotation(annotation::ESTARGZ_TOC, made.toc_digest)
                .with_annotation(annotation::ESTARGZ_SIZE, made.stream.size);
            let _ = known.set(layer);
        }
        Ok(())
    });
    Encoding::new(bytes, encoded)
}
