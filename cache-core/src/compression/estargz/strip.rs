//! Taking the table of contents out of a tar stream again.

use bytes::Bytes;

use super::{TOC_NAME, is_toc};
use crate::compression::CodecPool;
use crate::compression::steps::{Codec, stepped};
use crate::tar::{BLOCK, Part, Scanner};
use crate::{BlobStream, Error, ErrorKind, Result};

/// Cuts a decompressed eStargz layer before its table of contents: what is left is the tar that went in.
///
/// The rest is read all the same, for the sake of a stream that is checked at its end. The stream fails with
/// [`ErrorKind::InvalidManifest`] when there is no table of contents.
pub(in crate::compression) fn strip(tar: BlobStream, pool: &CodecPool) -> BlobStream {
    let strip = Strip { scanner: Scanner::new(), held: Vec::new(), is_behind_end: false, is_cut: false };
    stepped(tar, strip, pool)
}

struct Strip {
    scanner: Scanner,
    /// Headers whose entry is not known yet; behind the end of the archive, a part of a block.
    held: Vec<u8>,
    is_behind_end: bool,
    is_cut: bool,
}

impl Strip {
    /// The table of contents is an archive of its own behind the end of the first one.
    fn behind_end(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        if !self.is_behind_end {
            self.is_behind_end = true;
            out.append(&mut self.held);
        }
        while !bytes.is_empty() && !self.is_cut {
            let missing = BLOCK - self.held.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            if now.len() < missing {
                return;
            }
            self.is_cut = self.held.strip_prefix(TOC_NAME.as_bytes()).is_some_and(|rest| rest.starts_with(b"\0"));
            if self.is_cut {
                self.held.clear();
            }
            out.append(&mut self.held);
        }
    }
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
