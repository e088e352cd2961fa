//! Decoders of `compression-codecs`, fed piece by piece, which read every gzip member and zstd frame of a layer.

use std::io;

use bytes::{Buf, Bytes};
use cache_core::Result;
use compression_codecs::DecodeV2;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};

use crate::DecodeLimits;
use crate::error::{broken, ended_early};
use crate::steps::Codec;

/// The most output of one call of a decoder, in bytes.
const CALL: usize = 64 << 10;

/// A decoder that can say whether output waits for room.
pub(super) trait Member: DecodeV2 + Send + Unpin + 'static {
    /// Writes output that waits in the decoder; whether the member has ended with it.
    fn drain(&mut self, out: &mut WriteBuffer<'_>) -> io::Result<bool>;
}

/// All members of a layer, one after another.
pub(super) struct Members<D> {
    decoder: D,
    buffer: Box<[u8]>,
    limits: DecodeLimits,
    /// A member has ended and none has begun.
    is_between: bool,
    /// The output was full before the end of the member.
    has_more: bool,
    members: u64,
    read: u64,
    written: u64,
}

impl<D: Member> Members<D> {
    pub(super) fn new(decoder: D, limits: DecodeLimits) -> Self {
        let buffer = vec![0; CALL].into();
        Self { decoder, buffer, limits, is_between: true, has_more: false, members: 0, read: 0, written: 0 }
    }

    /// Calls the decoder once.
    fn call(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        let after_the_end = self.is_between && self.members > 0;
        let room = self.buffer.len().min(out.capacity() - out.len());
        let mut written = WriteBuffer::new_initialized(&mut self.buffer[..room]);
        let mut taken = PartialBuffer::new(&input[..]);
        let result = if input.is_empty() {
            self.decoder.drain(&mut written)
        } else {
            let begun = if after_the_end { self.decoder.reinit() } else { Ok(()) };
            begun.and_then(|()| self.decoder.decode(&mut taken, &mut written))
        };
        let has_ended = result.map_err(|error| {
            let message = if after_the_end { "layer goes on after its end" } else { "layer does not decompress" };
            broken(message).with_source(error)
        })?;
        out.extend_from_slice(written.written());
        self.written += written.written_len() as u64;
        // At the end of a member nothing waits.
        self.has_more = !has_ended && written.has_no_spare_space();
        let taken = taken.written_len();
        input.advance(taken);
        self.read += taken as u64;
        self.is_between = has_ended;
        self.members += u64::from(has_ended);
        self.limits.check(self.read, self.written)
    }
}

impl<D: Member> Codec for Members<D> {
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        while out.len() < out.capacity() && (self.has_more || !input.is_empty()) {
            self.call(input, out)?;
        }
        Ok(())
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<bool> {
        if self.is_between && self.members > 0 { Ok(false) } else { Err(ended_early()) }
    }
}
