//! The body of an answer: without what a proxy encoded it with, and with an end to waiting.

use std::io::{self, Write as _};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cache_core::kit::{BodyReader, Bounds};
use cache_core::{BlobStream, Error, ErrorKind, Result};
use flate2::write::MultiGzDecoder;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;

use crate::{KIND, error};

/// How long a server may be silent, and how much it may say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) idle: Option<Duration>,
    pub(crate) bounds: Bounds,
}

/// How much is decoded at once: gzip makes at most a thousand times of it.
const STEP: usize = 4 << 10;

/// What the server has encoded the body with, apart from nothing at all; we ask for nothing at all.
pub(crate) fn encoding_of(response: &Response) -> Option<String> {
    let values = response.headers().get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let named = values.flat_map(|value| value.split([',', ' '])).map(str::to_ascii_lowercase);
    let named: Vec<String> = named.filter(|name| !matches!(name.as_str(), "" | "identity")).collect();
    (!named.is_empty()).then(|| named.join(","))
}

/// The bytes that the server means. It fails when nothing comes for too long, or next to nothing; without a limit it waits
/// for ever.
pub(crate) fn body(response: Response, patience: Patience, message: &'static str) -> Result<BlobStream> {
    let encoding = encoding_of(&response);
    let pieces = response.bytes_stream().map(move |piece| piece.map_err(|error| error::transport(error, message)));
    let pieces = BodyReader::new(message, patience.idle, &patience.bounds).stream(pieces);
    let pieces = pieces.map_err(|error| error.with("backend", KIND)).boxed();
    match encoding.as_deref() {
        None => Ok(pieces),
        Some("gzip" | "x-gzip") => Ok(gunzipped(pieces, message)),
        Some(other) => {
            let error = error::new(ErrorKind::Unsupported, message).with("content-encoding", other);
            Err(error.with_hint("a proxy in front of the registry encodes what was asked for as it is"))
        }
    }
}

/// Reads a document of at most `limit` bytes.
pub(crate) async fn read(
    response: Response,
    limit: u64,
    (patience, message): (Patience, &'static str),
) -> Result<Bytes> {
    let mut pieces = body(response, patience, message)?;
    let mut document = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        document.extend_from_slice(&piece?);
        if document.len() as u64 > limit {
            let error = error::new(ErrorKind::LimitExceeded, "document is too large to read");
            return Err(error.with("limit", limit));
        }
    }
    Ok(document.freeze())
}

/// Undoes gzip.
fn gunzipped(pieces: BlobStream, message: &'static str) -> BlobStream {
    // It is asked once more after its end, when the decoder has given the last bytes.
    let pieces = pieces.fuse().boxed();
    let decoding = Decoding { pieces, rest: Bytes::new(), decoder: Some(MultiGzDecoder::new(Vec::new())) };
    Box::pin(stream::unfold(decoding, move |mut decoding| async move {
        let next = decoding.next().await?;
        Some((next.map_err(|cause| cause.into_error(message)), decoding))
    }))
}

struct Decoding {
    pieces: BlobStream,
    rest: Bytes,
    /// Gone once the body has ended.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
}

/// Why a body cannot be decoded.
enum Cause {
    Body(Error),
    Gzip(io::Error),
}

impl Cause {
    fn into_error(self, message: &str) -> Error {
        match self {
            Self::Body(error) => error,
            Self::Gzip(source) => {
                error::new(ErrorKind::Unavailable, message).with("content-encoding", "gzip").with_source(source)
            }
        }
    }
}

impl Decoding {
    async fn next(&mut self) -> Option<Result<Bytes, Cause>> {
        loop {
            if self.rest.is_empty() {
                match self.pieces.next().await {
                    Some(Ok(piece)) => self.rest = piece,
                    Some(Err(error)) => return Some(Err(Cause::Body(error))),
                    None => return self.end(),
                }
            }
            match self.step() {
                Ok(decoded) if decoded.is_empty() => {}
                decoded => return Some(decoded.map_err(Cause::Gzip)),
            }
        }
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

    fn end(&mut self) -> Option<Result<Bytes, Cause>> {
        match self.decoder.take()?.finish() {
            Ok(decoded) => Some(Ok(decoded.into())),
            Err(error) => Some(Err(Cause::Gzip(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn decoded(encoded: &[u8], each: usize) -> Result<Vec<u8>> {
        let pieces: Vec<_> = encoded.chunks(each).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(gunzipped(Box::pin(stream::iter(pieces)), "cannot").try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn gzip_is_undone_whatever_pieces_it_comes_in() {
        let bytes = vec![7; 100_000];
        for each in [1, 10, 100_000] {
            assert!(decoded(&gzip(&bytes), each).await.unwrap() == bytes);
        }
        let two = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(decoded(&two, 5).await.unwrap(), b"onetwo");
    }

    #[tokio::test]
    async fn what_is_cut_short_or_no_gzip_is_an_error() {
        let encoded = gzip(&vec![7; 100_000]);
        for broken in [&encoded[..encoded.len() - 9], b"no gzip at all, really"] {
            assert_eq!(decoded(broken, 50).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }
}
