//! Examines a layer by its bytes, independently of its descriptor.

use cache_core::model::LayerEncoding;
use cache_core::seams::stat_blob;
use cache_core::{BlobProvider, Descriptor, DiffId, ErrorKind, Result, read_verified};
use cache_layers::{CodecPool, LayerStart, StartedLayer, can_decode, diff_id};

use crate::verify::drain;

/// What [`examine_layer`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Examined {
    /// The store does not have the blob.
    Missing,
    /// The blob is in an archive tier, so its bytes cannot be read.
    Archived,
    /// The bytes do not match the digest.
    Corrupt,
    /// The bytes match the digest but are not a layer: they do not decompress, or are not a tar archive.
    Unreadable,
    /// The bytes are a layer.
    Layer {
        /// The size in bytes.
        size: u64,
        /// How they are compressed.
        encoding: LayerEncoding,
        /// The diff ID; `None` if this build lacks the codec.
        diff_id: Option<DiffId>,
    },
}

/// Reads a blob once and determines what it is. Of the descriptor only the digest is used, and the media type where the
/// bytes are not enough: uncompressed bytes are a layer only if the media type says so or if they begin like a tar
/// archive.
///
/// # Errors
/// Only if the blob could not be read: the store does not answer, or refuses.
///
/// ```
/// use cache_core::{Descriptor, MediaType};
/// use cache_memory::MemoryCache;
/// use cache_ops::{Examined, examine_layer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryCache::new();
/// let layer = Descriptor::of(MediaType::OCI_LAYER, b"a layer that nobody has");
/// assert_eq!(examine_layer(&layer, &store).await?, Examined::Missing);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn examine_layer(blob: &Descriptor, blobs: &dyn BlobProvider) -> Result<Examined> {
    let Some(info) = stat_blob(blobs, blob).await? else { return Ok(Examined::Missing) };
    if info.is_archived {
        return Ok(Examined::Archived);
    }
    let stored = Descriptor { size: info.size, ..blob.clone() };
    match read(&stored, blobs).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Examined::Missing),
        Err(error) if error.kind() == ErrorKind::Archived => Ok(Examined::Archived),
        Err(error) if error.kind() == ErrorKind::DigestMismatch => Ok(Examined::Corrupt),
        read => read,
    }
}

async fn read(blob: &Descriptor, blobs: &dyn BlobProvider) -> Result<Examined> {
    let StartedLayer { start, stream, .. } = LayerStart::of(read_verified(blobs, blob).await?).await?;
    let Some(encoding) = encoding_of(blob, &start) else {
        drain(stream).await?;
        return Ok(Examined::Unreadable);
    };
    let layer = |diff_id| Examined::Layer { size: blob.size, encoding, diff_id };
    if !can_decode(encoding) {
        drain(stream).await?;
        return Ok(layer(None));
    }
    match diff_id(blob, encoding, stream, &CodecPool::default()).await {
        Ok(found) => Ok(layer(Some(found))),
        // Corrupt bytes may not decompress either, so only the digest of all bytes tells which of the two it is.
        Err(error) if error.kind() == ErrorKind::InvalidManifest => {
            drain(read_verified(blobs, blob).await?).await?;
            Ok(Examined::Unreadable)
        }
        Err(error) => Err(error),
    }
}

/// The encoding of the bytes; if they do not tell, a media type of a plain tar does.
fn encoding_of(blob: &Descriptor, start: &LayerStart) -> Option<LayerEncoding> {
    let encoding = start.encoding();
    let is_said = || blob.media_type.layer_encoding() == Some(LayerEncoding::Uncompressed);
    let is_layer = encoding != LayerEncoding::Uncompressed || start.is_tar() || is_said();
    is_layer.then_some(encoding)
}

#[cfg(test)]
mod tests {
    use cache_core::{Digest, MediaType};
    use cache_memory::MemoryCache;

    use super::*;

    async fn examine(store: &MemoryCache, digest: Digest, media_type: MediaType) -> Examined {
        examine_layer(&Descriptor::new(media_type, digest, 0), store).await.unwrap()
    }

    #[tokio::test]
    async fn the_bytes_take_precedence_over_the_descriptor() {
        let store = MemoryCache::new();
        let mut tar = vec![0_u8; 1024];
        tar[257..262].copy_from_slice(b"ustar");
        let digest = store.insert(tar.clone());
        let found = examine(&store, digest, MediaType::from("application/x-own")).await;
        let (encoding, diff_id) = (LayerEncoding::Uncompressed, Some(DiffId(digest)));
        assert_eq!(found, Examined::Layer { size: 1024, encoding, diff_id });
    }

    #[tokio::test]
    async fn unreadable_corrupt_and_missing_blobs_differ() {
        let store = MemoryCache::new();
        let text = store.insert("text");
        assert_eq!(examine(&store, text, MediaType::CACHE_CONFIG).await, Examined::Unreadable);
        let cut = store.insert([0x1f, 0x8b, 8, 0].as_slice().to_vec());
        assert_eq!(examine(&store, cut, MediaType::OCI_LAYER_GZIP).await, Examined::Unreadable);
        store.overwrite(text, "other");
        assert_eq!(examine(&store, text, MediaType::OCI_LAYER).await, Examined::Corrupt);
        store.lose(&text);
        assert_eq!(examine(&store, text, MediaType::OCI_LAYER).await, Examined::Missing);
    }
}
