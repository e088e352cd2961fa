//! Streaming decoders.

use std::io;

use futures_util::stream::TryStreamExt;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::{BlobStream, Error, ErrorKind};

/// How much a decoder hands on at a time.
const PIECE: usize = 64 << 10;

#[cfg(feature = "gzip")]
pub(super) fn gzip(stream: BlobStream) -> BlobStream {
    let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(reader(stream));
    // A gzip file may have several members, and eStargz has many; the decoder stops after the first by default.
    decoder.multiple_members(true);
    pieces(decoder)
}

#[cfg(feature = "zstd")]
pub(super) fn zstd(stream: BlobStream) -> BlobStream {
    let mut decoder = async_compression::tokio::bufread::ZstdDecoder::new(reader(stream));
    decoder.multiple_members(true);
    pieces(decoder)
}

fn reader(stream: BlobStream) -> impl tokio::io::AsyncBufRead + Send + Unpin {
    StreamReader::new(stream.map_err(io::Error::other))
}

fn pieces(decoder: impl tokio::io::AsyncRead + Send + 'static) -> BlobStream {
    Box::pin(ReaderStream::with_capacity(decoder, PIECE).map_err(to_error))
}

/// An error of the stream below comes back as it was; any other is the codec's.
fn to_error(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(below) => below,
        Err(codec) => Error::new(ErrorKind::InvalidManifest, "layer does not decompress").with_source(codec),
    }
}
