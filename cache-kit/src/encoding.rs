//! [`ContentEncoding`]: how a proxy has encoded a body, and its decoding.

use std::io::{self, Write as _};

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use flate2::write::MultiGzDecoder;
use futures_util::stream::{self, StreamExt};

/// The input decoded at once, in bytes: gzip expands it a thousand times at most.
const STEP: usize = 4 << 10;
/// The first bytes of gzip.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The `Content-Encoding` of a body ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110.html#section-8.4)).
/// Backends ask for `identity`, but some proxies encode.
///
/// ```
/// use cache_kit::ContentEncoding;
///
/// assert_eq!(ContentEncoding::parse(["identity, GZIP"]), ContentEncoding::Gzip);
/// assert_eq!(ContentEncoding::parse([]), ContentEncoding::Identity);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentEncoding {
    /// The bytes are as the server stores them.
    Identity,
    /// They are compressed with gzip, once.
    Gzip,
    /// They have this encoding, or these, which cannot be decoded here.
    Other(String),
}

impl ContentEncoding {
    /// Reads the values of all headers of this name.
    #[must_use]
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let named = values.into_iter().flat_map(|value| value.split([',', ' '])).map(str::to_ascii_lowercase);
        let named: Vec<String> = named.filter(|name| !matches!(name.as_str(), "" | "identity")).collect();
        match named.join(",").as_str() {
            "" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the bytes come as they are stored.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::Identity
    }

    /// The decoded body; `message` is the message of the error if it cannot be decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another encoding than gzip. The stream fails with [`ErrorKind::Unavailable`] for
    /// what is not gzip, or ends early.
    pub fn undo(&self, body: BlobStream, message: &'static str) -> Result<BlobStream> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => Ok(gunzipped(body, message)),
            Self::Other(other) => Err(unsupported(other, message)),
        }
    }

    /// The decoded document, of at most `limit` bytes. A document that is not gzip in spite of the header is returned
    /// as it is: some stores keep the header of an upload as metadata.
    ///
    /// # Errors
    /// As [`undo`](Self::undo), and [`ErrorKind::LimitExceeded`] for one that is too long.
    pub fn undo_document(&self, document: Bytes, limit: u64, message: &'static str) -> Result<Bytes> {
        match self {
            Self::Gzip if document.starts_with(&MAGIC) => gunzip(&document, limit, message),
            Self::Identity | Self::Gzip => Ok(document),
            Self::Other(other) => Err(unsupported(other, message)),
        }
    }
}

fn unsupported(encoding: &str, message: &str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, message).with("content-encoding", encoding);
    error.with_hint("a proxy in front of the server encodes the answer although no encoding was requested")
}

fn broken(source: io::Error, message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with("content-encoding", "gzip").with_source(source)
}

fn gunzip(document: &[u8], limit: u64, message: &'static str) -> Result<Bytes> {
    let mut decoder = MultiGzDecoder::new(Vec::new());
    for some in document.chunks(STEP) {
        decoder.write_all(some).map_err(|error| broken(error, message))?;
        within(decoder.get_ref(), limit)?;
    }
    let plain = decoder.finish().map_err(|error| broken(error, message))?;
    within(&plain, limit)?;
    Ok(plain.into())
}

fn within(plain: &[u8], limit: u64) -> Result<()> {
    if plain.len() as u64 <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorKind::LimitExceeded, "document is too large to read").with("limit", limit))
}

fn gunzipped(body: BlobStream, message: &'static str) -> BlobStream {
    // It is polled once more after its end, for the last bytes of the decoder.
    let body = body.fuse().boxed();
    let decoding = Decoding { body, rest: Bytes::new(), decoder: Some(MultiGzDecoder::new(Vec::new())) };
    Box::pin(stream::unfold(decoding, move |mut decoding| async move {
        let next = decoding.next(message).await?;
        Some((next, decoding))
    }))
}

struct Decoding {
    body: BlobStream,
    rest: Bytes,
    /// Gone once the body has ended, or is found to be broken.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
}

impl Decoding {
    async fn next(&mut self, message: &'static str) -> Option<Result<Bytes>> {
        while self.decoder.is_some() {
            if self.rest.is_empty() {
                match self.body.next().await {
                    Some(Ok(piece)) => self.rest = piece,
                    Some(Err(error)) => return Some(Err(error)),
                    None => return self.decoder.take().map(|decoder| finish(decoder, message)),
                }
            }
            match self.step() {
                Ok(decoded) if decoded.is_empty() => {}
                decoded => return Some(decoded.map_err(|error| broken(error, message))),
            }
        }
        None
    }

    fn step(&mut self) -> io::Result<Bytes> {
        let some = self.rest.split_to(STEP.min(self.rest.len()));
        // A decoder that has failed is not asked again.
        let Some(mut decoder) = self.decoder.take() else { return Ok(Bytes::new()) };
        decoder.write_all(&some)?;
        let decoded = std::mem::take(decoder.get_mut());
        self.decoder = Some(decoder);
        Ok(decoded.into())
    }
}

fn finish(decoder: MultiGzDecoder<Vec<u8>>, message: &str) -> Result<Bytes> {
    decoder.finish().map(Bytes::from).map_err(|error| broken(error, message))
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::stream::TryStreamExt;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn decoded(encoded: &[u8], each: usize) -> Result<Vec<u8>> {
        let pieces: Vec<_> = encoded.chunks(each).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let body = ContentEncoding::Gzip.undo(Box::pin(stream::iter(pieces)), "cannot")?;
        Ok(body.try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn gzip_is_decompressed_in_pieces_of_any_size() {
        let bytes = vec![7; 100_000];
        for each in [1, 10, 100_000] {
            assert!(decoded(&gzip(&bytes), each).await.unwrap() == bytes);
        }
        let two = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(decoded(&two, 5).await.unwrap(), b"onetwo");
    }

    #[tokio::test]
    async fn truncated_or_invalid_gzip_is_an_error() {
        let encoded = gzip(&vec![7; 100_000]);
        for broken in [&encoded[..encoded.len() - 9], b"no gzip at all, really"] {
            assert_eq!(decoded(broken, 50).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_document_is_decompressed_within_its_limit_and_only_if_encoded() {
        let undo = |document: &[u8], limit| {
            let undone = ContentEncoding::Gzip.undo_document(Bytes::copy_from_slice(document), limit, "cannot");
            undone.map_err(|error| error.kind())
        };
        assert_eq!(undo(&gzip(b"{}"), 2), Ok(Bytes::from_static(b"{}")));
        assert_eq!(undo(b"{}", 2), Ok(Bytes::from_static(b"{}")));
        assert_eq!(undo(&gzip(&vec![7; 100_000]), 99_999), Err(ErrorKind::LimitExceeded));
        assert_eq!(undo(&gzip(b"{}")[..12], 2), Err(ErrorKind::Unavailable));
    }

    #[test]
    fn other_encodings_are_named_and_refused() {
        let other = ContentEncoding::parse(["gzip", "br"]);
        assert_eq!(other, ContentEncoding::Other("gzip,br".to_owned()));
        let error = other.undo_document(Bytes::new(), 0, "cannot").unwrap_err();
        assert_eq!((error.kind(), error.context("content-encoding")), (ErrorKind::Unsupported, Some("gzip,br")));
    }
}
