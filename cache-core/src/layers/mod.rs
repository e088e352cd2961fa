//! Layers as bytes: encoders, decoders, the conversion from one compression to another, and tar streams of directories.
//!
//! The codecs are features (`gzip`, `zstd`, `estargz`), none of them on by default. The work is cut into short jobs of a
//! [`CodecPool`]: blocks that do not depend on each other run side by side (gzip), and a codec that has to see its input
//! in order runs step by step, ahead of the one who reads (zstd, every decoder, SHA-256).

#[cfg(feature = "gzip")]
mod blocks;
mod decode;
#[cfg(feature = "layer")]
mod dirs;
mod encode;
#[cfg(feature = "estargz")]
pub mod estargz;
#[cfg(feature = "gzip")]
mod gzip;
mod lane;
mod limits;
mod pool;
mod read;
mod recompress;
mod restore;
#[cfg(any(feature = "gzip", feature = "zstd"))]
mod steps;
#[cfg(any(feature = "estargz", feature = "layer"))]
#[cfg_attr(
    not(any(test, feature = "estargz")),
    expect(dead_code, unused_imports, reason = "layers are made of written headers; only eStargz reads them")
)]
mod tar;
mod verify;
#[cfg(feature = "zstd")]
mod zstd;

pub use self::decode::decode;
#[cfg(feature = "layer")]
pub use self::dirs::{LayerDir, TreeOptions, tar_tree};
pub use self::encode::{Encoded, Encoding, encode};
use self::lane::hashed;
pub use self::limits::DecodeLimits;
pub use self::pool::CodecPool;
pub use self::read::LayerStart;
pub use self::recompress::recompress;
pub use self::restore::restore_annotations;
pub use self::verify::diff_id;

#[cfg(test)]
mod tests;
