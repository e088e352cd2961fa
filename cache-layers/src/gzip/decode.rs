//! A gzip decoder that is fed piece by piece and reads every member.

use bytes::{Buf, Bytes};
use cache_core::Result;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::header::{self, Header};
use crate::DecodeLimits;
use crate::decode::{broken, ended_early};
use crate::steps::Codec;

pub(super) struct Decoder {
    state: State,
    inflate: Decompress,
    crc: Crc,
    /// The output was full before the end of the member.
    has_more: bool,
    limits: DecodeLimits,
    read: u64,
    written: u64,
    members: u64,
}

/// The part of a member that comes next.
enum State {
    /// The bytes of the header so far.
    Header(Vec<u8>),
    Body,
    /// The bytes of checksum and length so far.
    Trailer(Vec<u8>),
}

const TRAILER: usize = 8;

impl Decoder {
    pub(super) fn new(limits: DecodeLimits) -> Self {
        Self {
            state: State::Header(Vec::new()),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            has_more: false,
            limits,
            read: 0,
            written: 0,
            members: 0,
        }
    }

    fn header(&mut self, mut bytes: Vec<u8>, input: &mut Bytes) -> Result<State> {
        let before = bytes.len();
        // Nearly every header is short; one that is not is looked at again when it has doubled.
        let taken = input.len().min(before.max(64));
        bytes.extend_from_slice(&input[..taken]);
        match header::measure(&bytes) {
            Header::Complete(len) => {
                input.advance(len.saturating_sub(before));
                self.inflate.reset(false);
                self.crc.reset();
                Ok(State::Body)
            }
            Header::Incomplete => {
                input.advance(taken);
                Ok(State::Header(bytes))
            }
            Header::Invalid if self.members == 0 => Err(broken("layer is not gzip")),
            Header::Invalid => Err(broken("layer has something after its end")),
        }
    }

    fn body(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<State> {
        let (read, start) = (self.inflate.total_in(), out.len());
        let status = self.inflate.decompress_vec(input, out, FlushDecompress::None);
        let status = status.map_err(|error| broken("layer does not decompress").with_source(error))?;
        let taken = self.inflate.total_in() - read;
        input.advance(usize::try_from(taken).unwrap_or(usize::MAX).min(input.len()));
        self.crc.update(&out[start..]);
        self.written += (out.len() - start) as u64;
        self.limits.check(self.read, self.written)?;
        if status == Status::StreamEnd {
            return Ok(State::Trailer(Vec::with_capacity(TRAILER)));
        }
        self.has_more = out.len() == out.capacity();
        if taken == 0 && out.len() == start && !input.is_empty() && !self.has_more {
            return Err(broken("layer does not decompress"));
        }
        Ok(State::Body)
    }

    fn trailer(&mut self, mut bytes: Vec<u8>, input: &mut Bytes) -> Result<State> {
        let taken = input.len().min(TRAILER - bytes.len());
        bytes.extend_from_slice(&input.split_to(taken));
        let Ok(trailer) = <[u8; TRAILER]>::try_from(bytes.as_slice()) else { return Ok(State::Trailer(bytes)) };
        let expected = u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum());
        if u64::from_le_bytes(trailer) != expected {
            return Err(broken("layer decompresses to other bytes than its checksum says"));
        }
        self.members += 1;
        Ok(State::Header(Vec::new()))
    }
}

impl Codec for Decoder {
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        self.has_more = false;
        let len = input.len();
        // What is counted as read is there before what comes out of it is checked.
        self.read += len as u64;
        let result = self.advance(input, out);
        self.read -= input.len() as u64;
        result
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<bool> {
        match &self.state {
            State::Header(bytes) if bytes.is_empty() && self.members > 0 => Ok(false),
            _ => Err(ended_early()),
        }
    }
}

impl Decoder {
    /// Goes on until the input is used up or the output is full.
    fn advance(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Body);
            self.state = match state {
                State::Header(bytes) => self.header(bytes, input)?,
                State::Body => self.body(input, out)?,
                State::Trailer(bytes) => self.trailer(bytes, input)?,
            };
            if input.is_empty() || self.has_more {
                return Ok(());
            }
        }
    }
}
