//! zstd: libzstd with its own threads for compression, all frames for decompression.

use bytes::{Buf, Bytes};
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use zstd::stream::raw::{self, CParameter, DParameter, InBuffer, Operation, OutBuffer};

use super::decode::{broken, ended_early};
use super::steps::{Codec, stepped};
use super::{CodecPool, DecodeLimits};

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
pub(super) fn decode(layer: BlobStream, pool: &CodecPool) -> Result<BlobStream> {
    let new = || {
        let mut decoder = raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        Ok(decoder)
    };
    let inner = new().map_err(|error: std::io::Error| {
        Error::new(ErrorKind::LimitExceeded, "layer cannot be decompressed with zstd").with_source(error)
    })?;
    let decoder =
        Decoder { inner, limits: pool.limits(), is_between: true, has_more: false, read: 0, written: 0, frames: 0 };
    Ok(stepped(layer, decoder, pool))
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

struct Decoder {
    inner: raw::Decoder<'static>,
    limits: DecodeLimits,
    /// A frame has ended and none has begun.
    is_between: bool,
    has_more: bool,
    read: u64,
    written: u64,
    frames: u64,
}

impl Codec for Decoder {
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        let (mut taken, start) = (InBuffer::around(input), out.len());
        let result = self.inner.run(&mut taken, &mut OutBuffer::around_pos(out, start));
        let left = result.map_err(|error| {
            let after_the_end = self.is_between && self.frames > 0;
            let message = if after_the_end { "layer has something after its end" } else { "layer does not decompress" };
            broken(message).with_source(error)
        })?;
        let taken = taken.pos();
        input.advance(taken);
        self.is_between = left == 0;
        self.frames += u64::from(left == 0);
        // At the end of a frame nothing waits; another call would begin the next frame.
        self.has_more = left > 0 && out.len() == out.capacity();
        self.read += taken as u64;
        self.written += (out.len() - start) as u64;
        self.limits.check(self.read, self.written)
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<bool> {
        if self.is_between && self.frames > 0 { Ok(false) } else { Err(ended_early()) }
    }
}

fn cannot_compress(error: std::io::Error) -> Error {
    Error::new(ErrorKind::LimitExceeded, "layer cannot be compressed with zstd").with_source(error)
}
