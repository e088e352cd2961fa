//! From a layer to its tar stream.

use super::CodecPool;
#[cfg(not(all(feature = "gzip", feature = "zstd")))]
use super::encode::not_built_in;
use crate::error::Result;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use crate::error::{Error, ErrorKind};
#[cfg(not(all(feature = "gzip", feature = "zstd")))]
use crate::model::CompressionKind;
use crate::model::LayerEncoding;
use crate::seams::BlobStream;

/// Decompresses a layer, all members and frames of it, on the pool and within its limits.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when this build has no such decoder ([`CompressionKind::is_built_in`]). The stream fails
/// with [`ErrorKind::InvalidManifest`] on bytes that do not decompress: corrupt ones, too few of them, and anything after
/// the end. It fails with [`ErrorKind::LimitExceeded`] when too much comes out, and with whatever `layer` fails with.
///
/// [`CompressionKind::is_built_in`]: crate::CompressionKind::is_built_in
/// [`ErrorKind::Unsupported`]: crate::ErrorKind::Unsupported
/// [`ErrorKind::InvalidManifest`]: crate::ErrorKind::InvalidManifest
/// [`ErrorKind::LimitExceeded`]: crate::ErrorKind::LimitExceeded
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
        LayerEncoding::Zstd => super::zstd::decode(layer, pool),
        #[cfg(not(feature = "gzip"))]
        LayerEncoding::Gzip => Err(not_built_in(CompressionKind::Gzip)),
        #[cfg(not(feature = "zstd"))]
        LayerEncoding::Zstd => Err(not_built_in(CompressionKind::Zstd)),
    }
}

/// The bytes are not what their media type says.
#[cfg(any(feature = "gzip", feature = "zstd"))]
pub(super) fn broken(message: &str) -> Error {
    Error::new(ErrorKind::InvalidManifest, message)
}

/// The bytes end too early.
#[cfg(any(feature = "gzip", feature = "zstd"))]
pub(super) fn ended_early() -> Error {
    broken("layer ends before it is complete")
}
