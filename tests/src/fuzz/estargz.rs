//! Blobs that may be eStargz: the footer, the table of contents, and the tar without it.

use bytes::Bytes;
use cache_core::seams::stream_of;
use cache_core::{Compression, CompressionKind, Descriptor, Digest, ErrorKind, MediaType, annotation};
use cache_layers::{CodecPool, estargz, recompress};
use cache_memory::MemoryCache;
use futures_util::FutureExt;
use futures_util::stream::TryStreamExt;

/// The errors that a blob may have.
const EXPECTED: [ErrorKind; 3] = [ErrorKind::InvalidManifest, ErrorKind::Unsupported, ErrorKind::LimitExceeded];

/// A blob is not eStargz, or contains its table of contents, or is refused.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let (store, bytes) = (MemoryCache::new(), Bytes::copy_from_slice(data));
    let blob = Descriptor::of(MediaType::OCI_LAYER_GZIP, data);
    let _ = store.insert(bytes.clone());
    match estargz::open(&store, &blob).now_or_never().expect("memory does not wait") {
        Ok(Some(toc)) => assert!(toc.offset < blob.size, "the table of contents is outside of the blob"),
        Ok(None) => {}
        Err(error) => assert!(EXPECTED.contains(&error.kind()), "{error:?}"),
    }
    let claimed = blob.with_annotation(annotation::ESTARGZ_TOC, Digest::sha256(b""));
    let plain = Compression::new(CompressionKind::Uncompressed);
    let layer = recompress(&claimed, stream_of(bytes), &plain, &CodecPool::new(1)).expect("it is a layer");
    let pieces = layer.try_collect::<Vec<Bytes>>().now_or_never().expect("memory does not wait");
    if let Err(error) = pieces {
        assert!(EXPECTED.contains(&error.kind()), "{error:?}");
    }
}
