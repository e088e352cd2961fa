//! Streams that are verified on the pool.

use std::sync::{Arc, OnceLock};

use cache_core::model::{Descriptor, DiffId, Digester, LayerEncoding};
use cache_core::seams::{BlobStream, check_end, check_length};
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{StreamExt, TryStreamExt};

use super::{CodecPool, decode, hashed};

impl CodecPool {
    /// Wraps a stream of a whole blob like [`verified`](cache_core::seams::verified), but hashes on the pool and not in
    /// the task that reads the stream.
    #[must_use]
    pub fn verified(&self, blob: Descriptor, inner: BlobStream) -> BlobStream {
        let (mut read, expected) = (0_u64, blob.clone());
        let bounded = inner.map(move |piece| {
            let piece = piece?;
            read = read.saturating_add(piece.len() as u64);
            check_length(&expected, read)?;
            Ok(piece)
        });
        let digester = blob.digest.digester();
        hashed(Box::pin(bounded), digester, self, move |found| check_end(&blob, found.size, || found.digest))
    }
}

/// Reads the bytes of a layer to their end and returns the digest of the decompressed bytes; a plain tar that is named
/// by a SHA-256 digest is not hashed again.
///
/// # Errors
/// Whatever the stream fails with, and as [`decode`] does.
pub async fn diff_id(
    layer: &Descriptor,
    encoding: LayerEncoding,
    bytes: BlobStream,
    pool: &CodecPool,
) -> Result<DiffId> {
    if encoding == LayerEncoding::Uncompressed && layer.digest.algorithm() == "sha256" {
        return drain(bytes).await.map(|()| DiffId(layer.digest));
    }
    let found = Arc::new(OnceLock::new());
    let known = Arc::clone(&found);
    let tar = hashed(decode(encoding, bytes, pool)?, Digester::sha256(), pool, move |hashed| {
        let _ = known.set(DiffId(hashed.digest));
        Ok(())
    });
    drain(tar).await?;
    let unfinished = || Error::new(ErrorKind::Unavailable, "layer was not read to its end");
    found.get().copied().ok_or_else(unfinished)
}

async fn drain(mut stream: BlobStream) -> Result<()> {
    while stream.try_next().await?.is_some() {}
    Ok(())
}
