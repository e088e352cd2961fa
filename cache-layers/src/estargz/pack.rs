//! Compressing the members of a batch, and placing them one behind the other in the blob.

use std::collections::VecDeque;

use cache_core::model::{Digest, Digester};
use cache_core::{Error, ErrorKind, Result};
use cache_kit::Buffers;
use libdeflater::{CompressionLvl, Compressor};

use super::split::{Batch, Item, MAX_BATCH};
use super::toc::{Chunk, Toc, TocWriter};
use super::{CHUNK, footer};
use crate::gzip::cannot_compress;
use crate::hashing::Hashed;

/// A batch after compression.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// The length of each member and, if it starts with a chunk, the chunk's digest.
    members: Vec<(u64, Option<Digest>)>,
    items: Vec<Item>,
    needed_from: u64,
}

/// Compresses a batch. Members do not depend on each other.
pub(super) fn pack(batch: Batch, level: CompressionLvl, buffers: &Buffers) -> Result<Packed> {
    let mut compressor = Compressor::new(level);
    let mut bytes = buffers.take(MAX_BATCH);
    let mut members = Vec::with_capacity(batch.members.len());
    let mut rest = batch.bytes.as_slice();
    for member in &batch.members {
        let (content, later) = rest.split_at(member.length.min(rest.len()));
        let start = bytes.len();
        append_member(&mut compressor, content, &mut bytes)?;
        let chunk = (member.chunk > 0).then(|| Digest::sha256(&content[..member.chunk]));
        members.push(((bytes.len() - start) as u64, chunk));
        rest = later;
    }
    buffers.give_back(batch.bytes);
    Ok(Packed { bytes, members, items: batch.items, needed_from: batch.needed_from })
}

fn append_member(compressor: &mut Compressor, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.resize(start + compressor.gzip_compress_bound(content.len()), 0);
    let length = compressor.gzip_compress(content, &mut out[start..]).map_err(cannot_compress)?;
    out.truncate(start + length);
    Ok(())
}

/// Tracks where each member is, for the table of contents.
pub(super) struct Placer {
    offset: u64,
    /// The members that later items may still need.
    placed: VecDeque<Option<Chunk>>,
    /// The number of the first of them.
    first: u64,
    toc: TocWriter,
}

/// The end of a blob, and what is known only then.
pub(super) struct End {
    /// The member with the table of contents, and the footer.
    pub(super) bytes: Vec<u8>,
    pub(super) toc_digest: Digest,
    /// The whole stream, table of contents included.
    pub(super) stream: Hashed,
}

impl Placer {
    pub(super) fn new() -> Self {
        Self { offset: 0, placed: VecDeque::new(), first: 0, toc: TocWriter::new() }
    }

    /// Takes the next batch, in order.
    pub(super) fn place(&mut self, packed: &mut Packed) -> Result<()> {
        for (length, digest) in packed.members.drain(..) {
            self.placed.push_back(digest.map(|digest| Chunk { offset: self.offset, digest }));
            self.offset += length;
        }
        for item in packed.items.drain(..) {
            self.add(&item)?;
        }
        while self.first < packed.needed_from && self.placed.pop_front().is_some() {
            self.first += 1;
        }
        Ok(())
    }

    fn add(&mut self, item: &Item) -> Result<()> {
        let missing = || Error::new(ErrorKind::Unsupported, "a chunk of a file was lost").with("chunks", item.chunks);
        let chunks: Option<Vec<Chunk>> = (0..item.chunks).map(|n| self.chunk(item.first + n)).collect();
        let chunks = chunks.ok_or_else(missing)?;
        let digest = item.digest.or_else(|| chunks.first().map(|chunk| chunk.digest));
        self.toc.add(&item.entry, digest, chunks, CHUNK)
    }

    fn chunk(&self, number: u64) -> Option<Chunk> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.placed.get(at).copied().flatten()
    }

    /// Makes the end of the blob; `stream` has hashed the tar stream so far, which is `size` bytes long.
    pub(super) fn finish(self, mut stream: Digester, size: u64) -> Result<End> {
        let Toc { member: mut bytes, digest: toc_digest, size: added } = self.toc.finish(&mut stream)?;
        bytes.extend_from_slice(&footer::encode(self.offset));
        let stream = Hashed { digest: stream.finish(), size: size + added };
        Ok(End { bytes, toc_digest, stream })
    }
}
