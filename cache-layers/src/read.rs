//! Detects how a layer is compressed: by its bytes, like BuildKit, and by its media type if that decides.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use cache_core::model::{LayerEncoding, MediaType};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{CodecPool, decode, detect_encoding, is_read_by_bytes};

/// The size of a tar header in bytes.
const HEADER: usize = 512;
/// Where the magic of a tar header is.
const USTAR: Range<usize> = 257..262;
/// Where the checksum of a tar header is, in octal digits.
const SUM: Range<usize> = 148..156;

/// The first bytes of a layer: enough to tell what it is.
#[derive(Debug)]
pub struct LayerStart(Bytes);

/// A layer whose first bytes are known.
#[non_exhaustive]
pub struct StartedLayer {
    /// The first bytes.
    pub start: LayerStart,
    /// The whole layer, with these bytes.
    pub stream: BlobStream,
}

impl LayerStart {
    /// Reads the first bytes of a stream, and returns them beside the whole stream.
    ///
    /// # Errors
    /// The error of the stream.
    pub async fn of(mut stream: BlobStream) -> Result<StartedLayer> {
        let mut start = BytesMut::new();
        while start.len() < HEADER {
            let Some(piece) = stream.try_next().await? else { break };
            start.extend_from_slice(&piece);
        }
        let start = start.freeze();
        let whole = stream::once(std::future::ready(Ok(start.clone()))).chain(stream);
        Ok(StartedLayer { start: Self(start), stream: Box::pin(whole) })
    }

    /// How the bytes are compressed. A tar counts as uncompressed even if the name of its first file looks like a
    /// compression's magic.
    #[must_use]
    pub fn encoding(&self) -> LayerEncoding {
        if self.is_tar() { LayerEncoding::Uncompressed } else { detect_encoding(&self.0) }
    }

    /// Whether the bytes begin a tar archive. An archive may be empty, and old ones have no magic.
    #[must_use]
    pub fn is_tar(&self) -> bool {
        let is_header = self.0.get(USTAR).is_some_and(|magic| magic == b"ustar");
        let is_end = || self.0.get(..HEADER).is_some_and(|block| block.iter().all(|&byte| byte == 0));
        self.0.is_empty() || is_header || is_end() || self.0.get(..HEADER).is_some_and(has_right_sum)
    }

    /// How BuildKit reads a layer of this media type that begins with these bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] for compressed bytes with the media type of a plain tar: BuildKit does not
    /// decompress them, and so finds no tar.
    pub fn read_as(&self, media_type: &MediaType) -> Result<LayerEncoding> {
        if is_read_by_bytes(media_type) {
            return Ok(detect_encoding(&self.0));
        }
        let found = self.encoding();
        if found == LayerEncoding::Uncompressed {
            return Ok(found);
        }
        let message =
            format!("layer is {}, and its media type says {}", found.name(), LayerEncoding::Uncompressed.name());
        Err(Error::new(ErrorKind::InvalidManifest, message).with("media-type", media_type))
    }
}

/// Whether the checksum of a header is right; its own bytes count as spaces.
fn has_right_sum(block: &[u8]) -> bool {
    let bytes = block.iter().enumerate();
    let sum: u64 = bytes.map(|(at, byte)| u64::from(if SUM.contains(&at) { b' ' } else { *byte })).sum();
    let said = block.get(SUM).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default();
    u64::from_str_radix(said.trim_matches([' ', '\0']), 8) == Ok(sum)
}

/// Decompresses a layer as BuildKit does.
///
/// # Errors
/// The stream fails as [`decode`] and its stream do, and as [`LayerStart::read_as`] does.
pub(super) fn decompressed(media_type: MediaType, layer: BlobStream, pool: CodecPool) -> BlobStream {
    let decoded = async move {
        let StartedLayer { start, stream: layer } = LayerStart::of(layer).await?;
        decode(start.read_as(&media_type)?, layer, &pool)
    };
    Box::pin(stream::once(decoded).try_flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(magic: &[u8], sum: &str) -> Vec<u8> {
        let mut block = vec![0; HEADER];
        block[0] = b'a';
        block[USTAR].copy_from_slice(magic);
        block[SUM][..sum.len()].copy_from_slice(sum.as_bytes());
        block
    }

    #[test]
    fn an_archive_is_one_by_its_name_by_its_sum_or_by_its_end() {
        let is_tar = |bytes: Vec<u8>| LayerStart(bytes.into()).is_tar();
        assert!(is_tar(block(b"ustar", "")) && is_tar(vec![0; HEADER]) && is_tar(Vec::new()));
        // `a` and eight blanks, as version 7 of Unix wrote it.
        assert!(is_tar(block(b"\0\0\0\0\0", "000541\0 ")) && is_tar(block(b"\0\0\0\0\0", "   541 ")));
        assert!(!is_tar(block(b"\0\0\0\0\0", "000542\0 ")) && !is_tar(block(b"\0\0\0\0\0", "")));
        assert!(!is_tar(b"layer".to_vec()));
    }
}
