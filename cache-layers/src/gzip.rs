//! gzip: written by libdeflate in members that do not depend on each other, read by zlib-rs.

use std::io;

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::piece;
use compression_codecs::core::util::WriteBuffer;
use compression_codecs::{DecodeV2, GzipDecoder};
use futures_util::stream::TryStreamExt;
use libdeflater::{CompressionError, CompressionLvl, Compressor};

use super::CodecPool;
use super::blocks::blocks;
use super::members::{Member, Members};
use super::steps::stepped;

/// Bytes of the tar in one member.
///
/// It is a part of our format: another size would change the bytes.
const MEMBER: usize = 1 << 20;

/// Compresses a tar, several members at a time.
pub(super) fn encode(tar: BlobStream, level: Option<i32>, pool: &CodecPool) -> BlobStream {
    let (level, pool) = (libdeflate_level(level), pool.clone());
    // One more than threads, so that every thread has work while the next member is read.
    let ahead = pool.threads() + 1;
    let jobs = blocks(tar, MEMBER).map_ok(move |block| {
        let job = pool.run(move || member(level, &block));
        async move { job.await? }
    });
    Box::pin(jobs.try_buffered(ahead))
}

/// Decompresses all members of a layer.
pub(super) fn decode(layer: BlobStream, pool: &CodecPool) -> BlobStream {
    stepped(layer, Members::new(GzipDecoder::new(), pool.limits()), pool)
}

impl Member for GzipDecoder {
    fn drain(&mut self, out: &mut WriteBuffer<'_>) -> io::Result<bool> {
        // Checksum and length come after the last output, so that a member cannot end here.
        self.flush(out).map(|_| false)
    }
}

/// The level of libdeflate for one of Go's `compress/gzip`, which BuildKit uses.
///
/// Levels of both mean about the same. Go's Huffman-only (-2) becomes the fastest level: it is faster than that and
/// smaller.
pub(super) fn libdeflate_level(level: Option<i32>) -> CompressionLvl {
    let level = match level {
        None | Some(-1) => return CompressionLvl::default(),
        Some(-2) => 1,
        Some(level) => level,
    };
    CompressionLvl::new(level).unwrap_or_default()
}

/// Compresses one member: header without time and name, of an unknown system, as Go writes it.
///
/// The compressor is a new one each time, so that no member depends on what its thread did before.
pub(super) fn member(level: CompressionLvl, block: &[u8]) -> Result<Bytes> {
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(block.len())];
    let len = compressor.gzip_compress(block, &mut out).map_err(cannot_compress)?;
    out.truncate(len);
    Ok(piece(out))
}

pub(super) fn cannot_compress(error: CompressionError) -> Error {
    Error::new(ErrorKind::LimitExceeded, "layer cannot be compressed with gzip").with_source(error)
}
