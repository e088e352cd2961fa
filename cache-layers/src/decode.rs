//! Decompresses layers.

use cache_core::Result;
use cache_core::model::LayerEncoding;
use cache_core::seams::BlobStream;

use super::CodecPool;
use super::error::not_built_in;

/// Decompresses a layer, all members and frames of it, on the pool and within its limits.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when this build has no such decoder ([`can_decode`]). The stream fails with
/// [`ErrorKind::InvalidManifest`] if the bytes are corrupt, end early, or go on after the end of the layer. It fails
/// with [`ErrorKind::LimitExceeded`] if too much comes out, and with the errors of `layer`.
///
/// [`can_decode`]: crate::can_decode
/// [`ErrorKind::Unsupported`]: cache_core::ErrorKind::Unsupported
/// [`ErrorKind::InvalidManifest`]: cache_core::ErrorKind::InvalidManifest
/// [`ErrorKind::LimitExceeded`]: cache_core::ErrorKind::LimitExceeded
#[cfg_attr(
    not(any(feature = "gzip", feature = "zstd")),
    expect(unused_variables, reason = "a plain tar needs no threads")
)]
pub fn decode(encoding: LayerEncoding, layer: BlobStream, pool: &CodecPool) -> Result<BlobStream> {
    match encoding {
        LayerEncoding::Uncompressed => Ok(layer),
        #[cfg(feature = "gzip")]
        LayerEncoding::Gzip => Ok(super::gzip::decode(layer, pool)),
        #[cfg(feature = "zstd")]
        LayerEncoding::Zstd => Ok(super::zstd::decode(layer, pool)),
        encoding => Err(not_built_in(encoding.name())),
    }
}
