//! Decoders for layers: what checking a diff ID needs.
//!
//! The codecs are features (`gzip`, `zstd`), none of them on by default.

#[cfg(any(feature = "gzip", feature = "zstd"))]
mod decode;

use crate::{BlobStream, LayerEncoding};

/// A layer's bytes on the way out of a decoder.
pub(crate) enum Decoded {
    /// The uncompressed tar stream; bytes that do not decompress are an error of kind `InvalidManifest`.
    Stream(BlobStream),
    /// This build has no decoder: the stream as it came.
    Unsupported(BlobStream),
}

/// Decompresses a layer, all members and frames of it.
pub(crate) fn decode(encoding: LayerEncoding, stream: BlobStream) -> Decoded {
    match encoding {
        LayerEncoding::Uncompressed => Decoded::Stream(stream),
        #[cfg(feature = "gzip")]
        LayerEncoding::Gzip => Decoded::Stream(decode::gzip(stream)),
        #[cfg(feature = "zstd")]
        LayerEncoding::Zstd => Decoded::Stream(decode::zstd(stream)),
        #[cfg(not(all(feature = "gzip", feature = "zstd")))]
        _ => Decoded::Unsupported(stream),
    }
}
