//! Converts a layer to another compression.

use cache_core::model::{Compression, Descriptor, DiffId, Digest, Digester, LayerEncoding, annotation};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};

use super::detect::is_read_by_bytes;
use super::encode::{Tar, encode_checked};
#[cfg(not(feature = "estargz"))]
use super::error::not_built_in;
use super::read::decompressed;
use super::{CodecPool, Encoding, encode, hashed};

/// Converts a layer: decompresses `bytes`, the [verified](cache_core::seams::verified) content of `layer`, and
/// compresses it again.
///
/// The compression of `bytes` is detected, whatever the media type says, as in BuildKit; but bytes with OCI's media
/// type of a plain tar have to be one.
///
/// The new descriptor has the annotations that follow from the new bytes and [`annotation::CREATED_AT`] of the old one,
/// and the media type of the same family (OCI's or Docker's). BuildKit loses the creation time here. It belongs to the
/// tar and not to its compression, and a cache in an object store has no other source for the age of a layer.
///
/// The diff ID does not change, and is checked. That of a plain tar is its digest, and is not computed again. The
/// exception is eStargz: its diff ID covers the table of contents, so it changes when an eStargz is made or converted
/// to something else. A layer is an eStargz if it has the annotation [`annotation::ESTARGZ_TOC`].
///
/// # Errors
/// As [`encode`](crate::encode); [`ErrorKind::Unsupported`] also for a blob that is not a layer. The stream fails as
/// [`decode`](crate::decode) and its stream do, and with [`ErrorKind::DigestMismatch`] at its end if the diff ID is
/// wrong.
pub fn recompress(layer: &Descriptor, bytes: BlobStream, to: &Compression, pool: &CodecPool) -> Result<Encoding> {
    if layer.media_type.layer_encoding().is_none() {
        let error = Error::new(ErrorKind::Unsupported, "blob is not a layer, so its compression cannot be changed");
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
        encode_checked(Tar { bytes: tar, digest: known_diff_id(layer) }, to, pool, check)?
    };
    Ok(encoding.described(media_type, created_at))
}

/// The digest of the tar, if it is that of the blob: a blob with OCI's media type of a plain tar is one, or is refused.
fn known_diff_id(layer: &Descriptor) -> Option<Digest> {
    let is_plain = layer.media_type.layer_encoding() == Some(LayerEncoding::Uncompressed);
    let is_named_so = is_plain && !is_read_by_bytes(&layer.media_type) && layer.digest.algorithm() == "sha256";
    is_named_so.then_some(layer.digest)
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
