//! zstd: libzstd with its own threads for compression, all frames for decompression.

use std::io;

use bytes::{Buf, Bytes};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{DecodeV2, ZstdDecoder};
use zstd::stream::raw::{self, CParameter, InBuffer, Operation, OutBuffer};

use super::CodecPool;
use super::members::{Member, Members};
use super::steps::{Codec, stepped};

/// The level of libzstd, and of BuildKit, when none is chosen.
const DEFAULT_LEVEL: i32 = 3;
/// The most threads: each one more needs memory.
const MOST_THREADS: usize = 16;
/// The levels above 19 look back further than 8 MiB, which is all that the format asks of every decoder.
const WINDOW_LOG: u32 = 23;
/// A decoder reads layers that look back up to 512 MiB (`zstd --long=29`), and so does BuildKit's.
///
/// That much memory a frame may make it hold, and no more than the frame decompresses to.
const MAX_WINDOW_LOG: u32 = 29;

/// Compresses a tar into one frame with a checksum.
///
/// There is always at least one thread of libzstd's own: with none its output is another one, with any number the same.
pub(super) fn encode(tar: BlobStream, level: Option<i32>, pool: &CodecPool) -> Result<BlobStream> {
    let level = level.unwrap_or(DEFAULT_LEVEL);
    let threads = u32::try_from(pool.threads().min(MOST_THREADS)).unwrap_or(1);
    let new = || {
        let mut encoder = raw::Encoder::new(level)?;
        encoder.set_parameter(CParameter::NbWorkers(threads))?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        if level > 19 {
            encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        }
        Ok(encoder)
    };
    let encoder = new().map_err(cannot_compress)?;
    Ok(stepped(tar, Encoder(encoder), pool))
}

/// Decompresses all frames of a layer.
pub(super) fn decode(layer: BlobStream, pool: &CodecPool) -> BlobStream {
    let decoder = ZstdDecoder::new_with_params(&[DParameter::window_log_max(MAX_WINDOW_LOG)]);
    stepped(layer, Members::new(decoder, pool.limits()), pool)
}

impl Member for ZstdDecoder {
    fn drain(&mut self, out: &mut WriteBuffer<'_>) -> io::Result<bool> {
        self.decode(&mut PartialBuffer::new(&[]), out)
    }
}

struct Encoder(raw::Encoder<'static>);

impl Codec for Encoder {
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        let mut taken = InBuffer::around(input);
        let start = out.len();
        self.0.run(&mut taken, &mut OutBuffer::around_pos(out, start)).map_err(cannot_compress)?;
        let taken = taken.pos();
        input.advance(taken);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let left = self.0.finish(&mut OutBuffer::around_pos(out, start), true).map_err(cannot_compress)?;
        Ok(left > 0)
    }
}

fn cannot_compress(error: io::Error) -> Error {
    Error::new(ErrorKind::LimitExceeded, "layer cannot be compressed with zstd").with_source(error)
}
