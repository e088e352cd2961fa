//! Removing the table of contents from a tar stream.

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};

use super::{TOC_NAME, is_toc};
use crate::CodecPool;
use crate::steps::{Codec, stepped};
use crate::tar::{BLOCK, Part, Scanner};

/// Cuts a decompressed eStargz layer before its table of contents; the result is the original tar.
///
/// The rest is read too, because a stream may be verified at its end. The stream fails with
/// [`ErrorKind::InvalidManifest`] without a table of contents.
pub(crate) fn strip(tar: BlobStream, pool: &CodecPool) -> BlobStream {
    let strip = Strip { scanner: Scanner::new(), held: Vec::new(), is_behind_end: false, is_cut: false };
    stepped(tar, strip, pool)
}

struct Strip {
    scanner: Scanner,
    /// Headers whose entry is not known yet; behind the end of the archive, what may be the start of one.
    held: Vec<u8>,
    is_behind_end: bool,
    is_cut: bool,
}

impl Strip {
    /// The table of contents is an archive of its own behind the end of the first one, at any offset.
    fn behind_end(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.is_behind_end {
            self.is_behind_end = true;
            out.append(&mut self.held);
        }
        self.held.extend_from_slice(bytes);
        let name = name_field();
        let found = self.held.windows(name.len()).position(|window| window == name);
        self.is_cut = found.is_some();
        let end = found.unwrap_or(self.held.len().saturating_sub(name.len() - 1));
        out.extend(self.held.drain(..end));
    }
}

/// The first field of the header of the table of contents, which nothing else behind the end of an archive has.
fn name_field() -> [u8; 100] {
    let mut field = [0; 100];
    field[..TOC_NAME.len()].copy_from_slice(TOC_NAME.as_bytes());
    field
}

impl Codec for Strip {
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        let taken = std::mem::take(input);
        let mut bytes = taken.as_ref();
        while !self.is_cut {
            let Some(part) = self.scanner.next(&mut bytes)? else { break };
            match part {
                Part::Frame(frame) if self.scanner.is_behind_end() => self.behind_end(frame, out),
                Part::Frame(frame) => self.held.extend_from_slice(frame),
                // An archive without an end, as other writers of eStargz make it.
                Part::Entry(entry) if is_toc(&entry.path) => {
                    let header = self.held.len().saturating_sub(BLOCK);
                    out.extend_from_slice(&self.held[..header]);
                    self.is_cut = true;
                }
                Part::Entry(_) => out.append(&mut self.held),
                Part::Content(content) => out.extend_from_slice(content),
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<bool> {
        if self.is_cut {
            return Ok(false);
        }
        let error = Error::new(ErrorKind::InvalidManifest, "eStargz layer has no table of contents");
        Err(error.with("path", TOC_NAME))
    }
}
