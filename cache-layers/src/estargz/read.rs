//! Finds the table of contents of a blob without reading the rest of it.

use std::ops::Range;

use cache_core::model::{Annotations, Descriptor, Digest, Digester, LayerEncoding, annotation};
use cache_core::seams::{BlobProvider, BlobStream};
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::StreamExt;

use super::toc::MAX_TOC;
use super::{TOC_NAME, footer};
use crate::tar::{Part, Scanner};
use crate::{CodecPool, DecodeLimits, decode};

/// Where the table of contents of an eStargz blob is, and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Toc {
    /// The digest of the JSON document, as [`annotation::ESTARGZ_TOC`] has it.
    pub digest: Digest,
    /// Where the gzip member that holds it starts: the bytes before are the layer without its table of contents.
    pub offset: u64,
}

/// Looks for the table of contents of a gzip blob: two reads, of the footer and of the table.
///
/// `None` if the blob has no footer, and so is not eStargz. The table is read and hashed piece by piece, and not kept in
/// memory.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`] if there is a footer, but no table of contents at its offset;
/// [`ErrorKind::LimitExceeded`] when the table is over 512 MiB; else the error of `blobs`.
pub async fn open(blobs: &dyn BlobProvider, blob: &Descriptor) -> Result<Option<Toc>> {
    let tail = blob.size.saturating_sub(footer::LENGTH as u64)..blob.size;
    let Some(footer) = footer::decode(&read_range(blobs, blob, tail).await?) else { return Ok(None) };
    let end = blob.size.saturating_sub(footer.length);
    if footer.toc_offset >= end {
        return Err(malformed("the footer points behind the end").with("blob", blob.digest));
    }
    let member = blobs.read(blob, Some(footer.toc_offset..end)).await?;
    let digest = read_toc(member).await.map_err(|error| error.with("blob", blob.digest))?;
    Ok(Some(Toc { digest, offset: footer.toc_offset }))
}

/// The annotations of an eStargz blob that an object store does not keep, read back from the blob itself.
///
/// Empty for a layer that is not gzip, for gzip that is not eStargz, and for a broken table of contents, with which
/// BuildKit would not find an eStargz either. Only [`annotation::ESTARGZ_TOC`] is returned: to find out the
/// uncompressed size, all of the layer would have to be decompressed.
///
/// # Errors
/// The error of `blobs`.
pub async fn annotations(blobs: &dyn BlobProvider, blob: &Descriptor) -> Result<Annotations> {
    if blob.media_type.layer_encoding() != Some(LayerEncoding::Gzip) {
        return Ok(Annotations::default());
    }
    match open(blobs, blob).await {
        Ok(toc) => Ok(toc.into_iter().map(|toc| (annotation::ESTARGZ_TOC, toc.digest.to_string())).collect()),
        Err(error) if error.kind() == ErrorKind::InvalidManifest => Ok(Annotations::default()),
        Err(error) => Err(error),
    }
}

/// Reads the member with the table: a tar stream with one entry.
async fn read_toc(member: BlobStream) -> Result<Digest> {
    let pool = CodecPool::new(1);
    let limits = DecodeLimits { max_size: MAX_TOC, ..pool.limits() };
    let mut tar = decode(LayerEncoding::Gzip, member, &pool.with_limits(limits))?;
    let (mut scanner, mut digester) = (Scanner::new(), None);
    while let Some(piece) = tar.next().await {
        let piece = piece?;
        let mut bytes = piece.as_ref();
        while let Some(part) = scanner.next(&mut bytes)? {
            match (part, &mut digester) {
                (Part::Frame(_), _) => {}
                (Part::Entry(entry), None) if entry.path == TOC_NAME.as_bytes() => digester = Some(Digester::sha256()),
                (Part::Entry(_), _) => return Err(malformed("another entry is where it should be")),
                (Part::Content(content), Some(digester)) => digester.update(content),
                (Part::Content(_), None) => return Err(malformed("it has no header")),
            }
        }
    }
    scanner.finish()?;
    digester.map(Digester::finish).ok_or_else(|| malformed("it is empty"))
}

/// Reads a short part of a blob.
async fn read_range(blobs: &dyn BlobProvider, blob: &Descriptor, range: Range<u64>) -> Result<Vec<u8>> {
    let expected = range.end - range.start;
    let mut stream = blobs.read(blob, Some(range)).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > expected {
            break;
        }
    }
    if bytes.len() as u64 == expected {
        return Ok(bytes);
    }
    let error = Error::new(ErrorKind::Unavailable, "the store returned another part of the blob than was requested");
    Err(error.with("blob", blob.digest).with("expected", expected).with("got", bytes.len()))
}

fn malformed(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidManifest, "layer has no table of contents at its end").with("reason", reason)
}
