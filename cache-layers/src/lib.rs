#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "gzip")]
mod blocks;
mod built_in;
mod decode;
mod detect;
#[cfg(feature = "layer")]
mod dirs;
mod encode;
mod error;
#[cfg(feature = "estargz")]
pub mod estargz;
#[cfg(feature = "gzip")]
mod gzip;
mod hashing;
mod limits;
#[cfg(any(feature = "gzip", feature = "zstd"))]
mod members;
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

pub use self::built_in::{can_decode, can_encode};
pub use self::decode::decode;
pub use self::detect::{detect_encoding, is_read_by_bytes};
#[cfg(feature = "layer")]
pub use self::dirs::{LayerDir, TreeOptions, tar_tree};
pub use self::encode::{Encoded, Encoding, encode};
use self::hashing::hashed;
pub use self::limits::DecodeLimits;
pub use self::pool::CodecPool;
pub use self::read::{LayerStart, StartedLayer};
pub use self::recompress::recompress;
pub use self::restore::restore_annotations;
pub use self::verify::diff_id;

#[cfg(test)]
mod tests;
