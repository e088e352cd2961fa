//! A tar stream cut into the gzip members of an eStargz blob, and what its table of contents will say.

use std::sync::Arc;

use cache_core::model::{Digest, Digester};
use cache_core::{Error, ErrorKind, Result};
use cache_kit::Buffers;

use super::{CHUNK, TOC_NAME, is_toc};
use crate::tar::{Entry, EntryKind, Part, Scanner};

/// The most bytes of headers and padding in one member: the format allows a cut anywhere, and a
/// member is compressed in memory.
const MAX_FRAME: usize = 1 << 20;

/// The least bytes in a batch: small members are compressed together, since a job for each would cost more.
const BATCH: usize = 1 << 20;

/// The largest batch in bytes; it is cut at the end of a member.
pub(super) const MAX_BATCH: usize = BATCH + CHUNK as usize + MAX_FRAME;

/// Consecutive members, to be compressed: at most `MAX_BATCH` bytes.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) members: Vec<Member>,
    /// The files that have ended; their chunks are in this batch or in earlier ones.
    pub(super) items: Vec<Item>,
    /// Members before this one are not needed by later items.
    pub(super) needed_from: u64,
}

impl Batch {
    fn new(buffers: &Buffers) -> Self {
        Self { bytes: buffers.take(MAX_BATCH), ..Self::default() }
    }
}

/// A gzip member before it is compressed.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// Bytes of the whole member.
    pub(super) length: usize,
    /// How many of them are a chunk of a file; it comes first.
    pub(super) chunk: usize,
}

/// An entry for the table of contents whose offsets and chunk digests are not known yet.
pub(super) struct Item {
    pub(super) entry: Entry,
    /// The digest of the content, if it is not that of the only chunk.
    pub(super) digest: Option<Digest>,
    /// The number of the member with the first chunk; the others follow.
    pub(super) first: u64,
    /// How many chunks there are.
    pub(super) chunks: u64,
}

/// Scans and cuts; it holds one batch.
pub(super) struct Splitter {
    scanner: Scanner,
    diff_id: Digester,
    size: u64,
    batch: Batch,
    buffers: Arc<Buffers>,
    open: Member,
    /// The number of the open member.
    number: u64,
    file: Option<File>,
}

/// A file whose content is being read.
struct File {
    entry: Entry,
    read: u64,
    first: u64,
    /// Only needed if there are several chunks.
    digester: Option<Digester>,
}

impl Splitter {
    pub(super) fn new(buffers: Arc<Buffers>) -> Self {
        Self {
            scanner: Scanner::new(),
            diff_id: Digester::sha256(),
            size: 0,
            batch: Batch::new(&buffers),
            buffers,
            open: Member { length: 0, chunk: 0 },
            number: 0,
            file: None,
        }
    }

    /// Takes the next bytes of the stream and returns the full batches.
    ///
    /// # Errors
    /// Those of [`Scanner::next`], and `Unsupported` for a stream that has a table of contents already.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<Vec<Batch>> {
        self.diff_id.update(bytes);
        self.size += bytes.len() as u64;
        let mut ready = Vec::new();
        while let Some(part) = self.scanner.next(&mut bytes)? {
            match part {
                Part::Frame(frame) => self.frame(frame, &mut ready),
                Part::Entry(entry) => self.entry(*entry)?,
                Part::Content(content) => self.content(content, &mut ready),
            }
        }
        Ok(ready)
    }

    /// The last batch, what hashed the stream so far, and its size.
    ///
    /// # Errors
    /// `InvalidManifest` when the stream ends too early.
    pub(super) fn finish(mut self) -> Result<(Batch, Digester, u64)> {
        self.scanner.finish()?;
        self.close();
        Ok((self.batch, self.diff_id, self.size))
    }

    fn frame(&mut self, mut bytes: &[u8], ready: &mut Vec<Batch>) {
        while !bytes.is_empty() {
            let used = self.open.length - self.open.chunk;
            let (now, later) = bytes.split_at(bytes.len().min(MAX_FRAME - used));
            self.append(now);
            if used + now.len() == MAX_FRAME {
                self.cut(ready, None);
            }
            bytes = later;
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<()> {
        if is_toc(&entry.path) {
            let error = Error::new(ErrorKind::Unsupported, "layer holds a table of contents already");
            return Err(error.with("path", TOC_NAME).with_hint("use the layer as it is, or leave out that file"));
        }
        match entry.size {
            0 => {
                let digest = (entry.kind == EntryKind::File).then(|| Digest::sha256(b""));
                self.batch.items.push(Item { entry, digest, first: 0, chunks: 0 });
            }
            size => {
                let digester = (size > CHUNK).then(Digester::sha256);
                self.file = Some(File { entry, read: 0, first: 0, digester });
            }
        }
        Ok(())
    }

    fn content(&mut self, mut bytes: &[u8], ready: &mut Vec<Batch>) {
        let Some(mut file) = self.file.take() else { return };
        while !bytes.is_empty() {
            let within = file.read % CHUNK;
            if within == 0 {
                self.cut(ready, (file.read > 0).then_some(file.first));
                file.first = if file.read == 0 { self.number } else { file.first };
            }
            let room = usize::try_from(CHUNK - within).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.append(now);
            self.open.chunk += now.len();
            if let Some(digester) = &mut file.digester {
                digester.update(now);
            }
            file.read += now.len() as u64;
            bytes = later;
        }
        if file.read < file.entry.size {
            self.file = Some(file);
            return;
        }
        let chunks = file.entry.size.div_ceil(CHUNK);
        let digest = file.digester.map(Digester::finish);
        self.batch.items.push(Item { entry: file.entry, digest, first: file.first, chunks });
    }

    fn append(&mut self, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
        self.open.length += bytes.len();
    }

    /// Ends the open member, and the batch when it is full; `needed_from` is the first member of a file that goes on.
    fn cut(&mut self, ready: &mut Vec<Batch>, needed_from: Option<u64>) {
        self.close();
        if self.batch.bytes.len() >= BATCH {
            self.batch.needed_from = needed_from.unwrap_or(self.number);
            ready.push(std::mem::replace(&mut self.batch, Batch::new(&self.buffers)));
        }
    }

    fn close(&mut self) {
        if self.open.length > 0 {
            self.batch.members.push(self.open);
            self.open = Member { length: 0, chunk: 0 };
            self.number += 1;
        }
    }
}
