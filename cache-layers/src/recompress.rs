//! One layer, in another compression.

use cache_core::model::{Compression, Descriptor, DiffId, Digester, annotation};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};

use super::encode::encode_checked;
#[cfg(not(feature = "estargz"))]
use super::error::not_built_in;
use super::read::decompressed;
use super::{CodecPool, Encoding, encode, hashed};

/// Converts a layer: decompresses `bytes`, which are those of `layer`, and compresses them again.
///
/// It is decompressed by what the bytes are, whatever compression the media type names, as BuildKit does; only what OCI's
/// type calls a plain tar has to be one.
///
/// The new descriptor has the annotations that follow from the new bytes and [`annotation::CREATED_AT`] of the old one,
/// and the media type of the same family (OCI's or Docker's). BuildKit loses the creation time here; it is a fact about
/// the tar and not about its compression, and a cache in an object store knows the age of a layer from nowhere else.
///
/// The diff ID stays, and is checked on the way. An eStargz layer is the exception: its diff ID counts the table of
/// contents in, so that one that is made or unmade changes it. A layer is an eStargz when its annotations say so
/// ([`annotation::ESTARGZ_TOC`]).
///
/// # Errors
/// As [`encode`](crate::encode); [`ErrorKind::Unsupported`] also for what is no layer. The stream fails as
/// [`decode`](crate::decode) and its stream do, and with [`ErrorKind::DigestMismatch`] at its end when the old diff ID is another one.
pub fn recompress(layer: &Descriptor, bytes: BlobStream, to: &Compression, pool: &CodecPool) -> Result<Encoding> {
    if layer.media_type.layer_encoding().is_none() {
        let error = Error::new(ErrorKind::Unsupported, "blob is no layer, its compression cannot be changed");
        return Err(error.with("blob", layer.digest).with("media-type", &layer.media_type));
    }
    let tar = decompressed(layer.media_type.clone(), bytes, pool.clone());
    let (digest, expected) = (layer.digest, layer.diff_id());
    let check = move |found: DiffId| match expected {
        Some(expected) if expected != found => Err(wrong_diff_id(expected, found).with("blob", digest)),
        _ => Ok(()),
    };
    let created_at = layer.annotations.get(annotation::CREATED_AT).cloned();
    let media_type = layer.media_type.with_layer_encoding(to.kind().encoding());
    let encoding = if layer.annotations.contains_key(annotation::ESTARGZ_TOC) {
        let tar = hashed(tar, Digester::sha256(), pool, move |found| check(DiffId(found.digest)));
        encode(without_toc(tar, pool)?, to, pool)?
    } else {
        encode_checked(tar, to, pool, check)?
    };
    Ok(encoding.described(media_type, created_at))
}

#[cfg(feature = "estargz")]
fn without_toc(tar: BlobStream, pool: &CodecPool) -> Result<BlobStream> {
    Ok(super::estargz::strip(tar, pool))
}

#[cfg(not(feature = "estargz"))]
fn without_toc(_tar: BlobStream, _pool: &CodecPool) -> Result<BlobStream> {
    Err(not_built_in(cache_core::model::CompressionKind::Estargz))
}

fn wrong_diff_id(expected: DiffId, found: DiffId) -> Error {
    Error::new(ErrorKind::DigestMismatch, "layer decompresses to another tar than its descriptor says")
        .with("expected", expected)
        .with("got", found)
}
