//! Compression of layers: what it is called, encoders, decoders, and the conversion from one to another.
//!
//! The codecs are features (`gzip`, `zstd`, `estargz`), none of them on by default. The work is cut into short jobs of a
//! [`CodecPool`]: blocks that do not depend on each other run side by side (gzip), and a codec that has to see its input
//! in order runs step by step, ahead of the one who reads (zstd, every decoder, SHA-256).

#[cfg(feature = "gzip")]
mod blocks;
mod decode;
mod encode;
#[cfg(feature = "estargz")]
pub mod estargz;
#[cfg(feature = "gzip")]
mod gzip;
mod lane;
mod limits;
mod options;
mod pool;
mod recompress;
#[cfg(any(feature = "gzip", feature = "zstd"))]
mod steps;
#[cfg(feature = "zstd")]
mod zstd;

pub(crate) use self::decode::can_decode;
pub use self::decode::decode;
pub use self::encode::{Encoded, Encoding, encode};
pub(crate) use self::lane::hashed;
pub use self::limits::DecodeLimits;
pub(crate) use self::options::ATTRIBUTES;
pub use self::options::{Compression, CompressionKind};
pub use self::pool::CodecPool;
pub use self::recompress::recompress;

#[cfg(test)]
mod tests;
