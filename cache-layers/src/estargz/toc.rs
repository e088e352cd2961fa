//! The table of contents as it is written: a tar entry with JSON, byte for byte in the shape of Go's encoder.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cache_core::model::{Digest, Digester};
use cache_core::{Error, ErrorKind, Result};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::{DeflateEncoder, GzEncoder};

use super::TOC_NAME;
use super::text::push_string;
use crate::tar::{BLOCK, END, Entry, EntryKind, padding, rfc3339, write_header};

/// The largest table of contents in bytes: more than a million entries.
pub(super) const MAX_TOC: u64 = 512 << 20;

const HEAD: &[u8] = b"{\n\t\"version\": 1,\n\t\"entries\": ";
const TAIL: &[u8] = b"\n}";

/// How many bytes of JSON are compressed at once.
const PIECE: usize = 64 << 10;

/// A part of a file's content that is a gzip member of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// The offset of its member in the blob.
    pub(super) offset: u64,
    pub(super) digest: Digest,
}

/// The table of contents as written to the blob.
pub(super) struct Toc {
    pub(super) member: Vec<u8>,
    /// That of the JSON.
    pub(super) digest: Digest,
    /// Bytes of the tar in the member.
    pub(super) size: u64,
}

/// Collects the entries in compressed form: at 400 bytes each, a table may be as large as all other memory.
pub(super) struct TocWriter {
    /// JSON that is not compressed yet.
    json: Vec<u8>,
    packed: DeflateEncoder<Vec<u8>>,
    digester: Digester,
    /// Bytes of JSON that are compressed.
    size: u64,
    users: HashMap<i64, Vec<u8>>,
    groups: HashMap<i64, Vec<u8>>,
    is_empty: bool,
}

impl TocWriter {
    pub(super) fn new() -> Self {
        Self {
            json: HEAD.to_vec(),
            // It is read again, to be compressed as a gzip member.
            packed: DeflateEncoder::new(Vec::new(), Compression::fast()),
            digester: Digester::sha256(),
            size: 0,
            users: HashMap::new(),
            groups: HashMap::new(),
            is_empty: true,
        }
    }

    /// Adds an entry that is not a file, or a file with its digest and its chunks of `chunk_size` bytes.
    ///
    /// # Errors
    /// `LimitExceeded` when the table becomes too large.
    pub(super) fn add(
        &mut self,
        entry: &Entry,
        digest: Option<Digest>,
        chunks: impl IntoIterator<Item = Chunk>,
        chunk_size: u64,
    ) -> Result<()> {
        let user = if_changed(&mut self.users, entry.uid, &entry.user);
        let group = if_changed(&mut self.groups, entry.gid, &entry.group);
        let mut chunks = chunks.into_iter();
        let mut object = self.object();
        push_head(&mut object, entry, user, group);
        let first = chunks.next();
        object.number("offset", first.map(|chunk| chunk.offset));
        push_device(&mut object, entry);
        push_xattrs(&mut object, entry);
        object.text("digest", digest.map(|digest| digest.to_string().into_bytes()).as_deref());
        push_chunk(&mut object, first, 0, entry.size, chunk_size);
        object.end();
        let mut start = chunk_size;
        for chunk in chunks {
            let mut object = self.object();
            object.text("name", Some(&entry.path));
            object.text("type", Some(b"chunk"));
            object.number("offset", Some(chunk.offset));
            push_chunk(&mut object, Some(chunk), start, entry.size, chunk_size);
            object.end();
            start = start.saturating_add(chunk_size);
        }
        if self.json.len() >= PIECE { self.pack() } else { Ok(()) }
    }

    /// The gzip member that holds the table as a tar with its end of archive, which `stream` hashes too.
    pub(super) fn finish(mut self, stream: &mut Digester) -> Result<Toc> {
        self.json.extend_from_slice(if self.is_empty { b"null" } else { b"\n\t]" });
        self.json.extend_from_slice(TAIL);
        self.pack()?;
        let json = self.packed.finish().map_err(cannot_pack)?;
        let mut header = Vec::with_capacity(BLOCK);
        write_header(&mut header, &Entry { path: TOC_NAME.into(), size: self.size, ..Entry::default() });
        let padding = padding(self.size);
        let mut tar = Hashing { inner: GzEncoder::new(Vec::with_capacity(json.len()), Compression::default()), stream };
        let written = tar.write_all(&header).and_then(|()| io::copy(&mut DeflateDecoder::new(&json[..]), &mut tar));
        let written = written.and_then(|_| tar.write_all(padding)).and_then(|()| tar.write_all(&END));
        written.map_err(cannot_pack)?;
        let member = tar.inner.finish().map_err(cannot_pack)?;
        let size = (header.len() + padding.len() + END.len()) as u64 + self.size;
        Ok(Toc { member, digest: self.digester.finish(), size })
    }

    /// Compresses the JSON that there is.
    fn pack(&mut self) -> Result<()> {
        self.digester.update(&self.json);
        self.size += self.json.len() as u64;
        self.packed.write_all(&self.json).map_err(cannot_pack)?;
        self.json.clear();
        self.check_size()
    }

    fn object(&mut self) -> Object<'_> {
        self.json.extend_from_slice(if self.is_empty { b"[" } else { b"," });
        self.is_empty = false;
        self.json.extend_from_slice(b"\n\t\t{");
        Object { out: &mut self.json, is_first: true }
    }

    fn check_size(&self) -> Result<()> {
        if BLOCK as u64 + self.size <= MAX_TOC {
            return Ok(());
        }
        let error = Error::new(ErrorKind::LimitExceeded, "layer has too many files for a table of contents");
        Err(error.with("limit", MAX_TOC).with_hint("use gzip or zstd instead of eStargz"))
    }
}

/// Hashes what is written.
struct Hashing<'a, W> {
    inner: W,
    stream: &'a mut Digester,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.stream.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn cannot_pack(error: io::Error) -> Error {
    Error::from_io(error, "cannot compress the table of contents")
}

fn push_head(object: &mut Object<'_>, entry: &Entry, user: Option<&[u8]>, group: Option<&[u8]>) {
    let is_link = matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink);
    let (seconds, nanoseconds) = entry.mtime;
    object.text("name", Some(&entry.path));
    object.text("type", Some(kind(entry.kind)));
    object.number("size", Some(entry.size).filter(|_| entry.kind == EntryKind::File));
    object.text("modtime", rfc3339(seconds, nanoseconds).map(String::into_bytes).as_deref());
    object.text("linkName", Some(entry.link.as_slice()).filter(|link| is_link && !link.is_empty()));
    object.number("mode", Some(entry.mode));
    object.number("uid", Some(entry.uid));
    object.number("gid", Some(entry.gid));
    object.text("userName", user);
    object.text("groupName", group);
}

fn push_device(object: &mut Object<'_>, entry: &Entry) {
    let device = Some(entry.device).filter(|_| matches!(entry.kind, EntryKind::Char | EntryKind::Block));
    object.number("devMajor", device.map(|(major, _)| major));
    object.number("devMinor", device.map(|(_, minor)| minor));
}

fn push_xattrs(object: &mut Object<'_>, entry: &Entry) {
    if entry.xattrs.is_empty() {
        return;
    }
    object.key("xattrs");
    object.out.push(b'{');
    let mut inner = Object { out: &mut *object.out, is_first: true };
    for (name, value) in &entry.xattrs {
        inner.nested(name, STANDARD.encode(value).as_bytes());
    }
    object.out.extend_from_slice(b"\n\t\t\t}");
}

/// A chunk that goes to the end of its file does not say its size.
fn push_chunk(object: &mut Object<'_>, chunk: Option<Chunk>, start: u64, file: u64, chunk_size: u64) {
    let Some(chunk) = chunk else { return };
    object.number("chunkOffset", Some(start));
    object.number("chunkSize", Some(chunk_size).filter(|size| file.saturating_sub(start) >= *size));
    object.text("chunkDigest", Some(chunk.digest.to_string().as_bytes()));
}

/// The words for the kinds of files.
fn kind(kind: EntryKind) -> &'static [u8] {
    match kind {
        EntryKind::File => b"reg",
        EntryKind::HardLink => b"hardlink",
        EntryKind::Symlink => b"symlink",
        EntryKind::Char => b"char",
        EntryKind::Block => b"block",
        EntryKind::Directory => b"dir",
        EntryKind::Fifo => b"fifo",
    }
}

/// The owner's name, unless the last entry of the same id had it.
fn if_changed<'a>(names: &mut HashMap<i64, Vec<u8>>, id: i64, name: &'a [u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    match names.entry(id) {
        Slot::Occupied(known) if known.get() == name => return None,
        Slot::Occupied(mut known) => *known.get_mut() = name.to_vec(),
        Slot::Vacant(slot) => drop(slot.insert(name.to_vec())),
    }
    Some(name)
}

/// An entry of the table while it is written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Object<'_> {
    fn key(&mut self, name: &str) {
        self.separate();
        self.out.extend_from_slice(format!("\n\t\t\t\"{name}\": ").as_bytes());
    }

    fn text(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.key(name);
            push_string(self.out, value);
        }
    }

    /// Zero values are left out.
    fn number<N: Into<i128>>(&mut self, name: &str, value: Option<N>) {
        if let Some(value) = value.map(Into::into).filter(|value| *value != 0_i128) {
            self.key(name);
            self.out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    fn nested(&mut self, name: &[u8], value: &[u8]) {
        self.separate();
        self.out.extend_from_slice(b"\n\t\t\t\t");
        push_string(self.out, name);
        self.out.extend_from_slice(b": ");
        push_string(self.out, value);
    }

    fn separate(&mut self) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
    }

    fn end(self) {
        self.out.extend_from_slice(b"\n\t\t}");
    }
}
