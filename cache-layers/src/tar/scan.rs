//! A tar stream cut into headers and content, without losing a byte.

use cache_core::{Error, ErrorKind, Result};

use super::entry::{Entry, EntryKind};
use super::header::{self, Header};
use super::{BLOCK, MAX_EXTENDED, pax};

/// What comes next in the stream.
///
/// Every byte of the input comes back exactly once, in order, as `Frame` or `Content`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Raw bytes that are not content: headers, extended headers, padding, the end of the archive.
    Frame(&'a [u8]),
    /// The headers that came last describe this; its content follows, `size` bytes in as many parts as it takes.
    Entry(Box<Entry>),
    /// Content of the last entry.
    Content(&'a [u8]),
}

/// Reads a tar stream piece by piece; it holds one header and its extended headers, and nothing else.
///
/// What follows the end of the archive is passed on as it is, and so are global headers, which Go's reader and
/// containerd do not apply either.
pub(crate) struct Scanner {
    state: State,
    block: [u8; BLOCK],
    filled: usize,
    position: u64,
    extended: Extended,
}

enum State {
    Header,
    /// One block of zeros was read.
    MaybeEnd,
    Extended {
        flag: u8,
        left: u64,
        padding: u64,
    },
    Content {
        left: u64,
        padding: u64,
    },
    Padding {
        left: u64,
    },
    End,
}

/// The extended fields that override the next header.
#[derive(Default)]
struct Extended {
    buffer: Vec<u8>,
    records: pax::Records,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { state: State::Header, block: [0; BLOCK], filled: 0, position: 0, extended: Extended::default() }
    }

    /// Takes the next part off the front of `input`; `None` when more input is needed.
    ///
    /// # Errors
    /// `InvalidManifest` for an invalid tar stream, `Unsupported` for entries that layers do not have (sparse files,
    /// volumes), `LimitExceeded` for an extended header over 1 MiB. All name the position.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>> {
        loop {
            if self.filled == BLOCK {
                self.filled = 0;
                match self.end_block()? {
                    Some(entry) => return Ok(Some(Part::Entry(entry))),
                    None => continue,
                }
            }
            let is_block = matches!(self.state, State::Header | State::MaybeEnd);
            match self.left() {
                0 if !is_block => self.end_part()?,
                left => return Ok(self.take(input, left)),
            }
        }
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// `InvalidManifest` when it ended inside of a header or of content, behind an extended header, or with half of its
    /// closing zeros. An archive without them is fine.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if matches!(self.state, State::Extended { .. }) && self.left() == 0 {
            self.end_part()?;
        }
        let is_whole = match self.state {
            State::Header => self.filled == 0,
            // Nothing could be appended: readers refuse one block of zeros with something behind it.
            State::MaybeEnd => return Err(self.broken("the stream ends with one block of zeros")),
            State::End => true,
            State::Extended { .. } | State::Content { .. } | State::Padding { .. } => self.left() == 0,
        };
        if is_whole { self.check_nothing_is_pending() } else { Err(self.broken("the stream ends inside of an entry")) }
    }

    /// Whether the last part came after the end of the archive.
    #[cfg(feature = "estargz")]
    pub(crate) fn is_behind_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Bytes until something happens.
    fn left(&self) -> u64 {
        match self.state {
            State::Header | State::MaybeEnd => (BLOCK - self.filled) as u64,
            State::Extended { left, .. } | State::Content { left, .. } | State::Padding { left } => left,
            State::End => u64::MAX,
        }
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], left: u64) -> Option<Part<'a>> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (taken, rest) = input.split_at(length);
        *input = rest;
        self.position += length as u64;
        if taken.is_empty() {
            return None;
        }
        match &mut self.state {
            State::Header | State::MaybeEnd => {
                self.block[self.filled..self.filled + length].copy_from_slice(taken);
                self.filled += length;
            }
            State::Extended { left, .. } => {
                *left -= length as u64;
                self.extended.buffer.extend_from_slice(taken);
            }
            State::Content { left, .. } => {
                *left -= length as u64;
                return Some(Part::Content(taken));
            }
            State::Padding { left } => *left -= length as u64,
            State::End => {}
        }
        Some(Part::Frame(taken))
    }

    fn end_part(&mut self) -> Result<()> {
        self.state = match self.state {
            State::Extended { flag, padding, .. } => {
                self.end_extended(flag)?;
                State::Padding { left: padding }
            }
            State::Content { padding, .. } => State::Padding { left: padding },
            _ => State::Header,
        };
        Ok(())
    }

    fn end_block(&mut self) -> Result<Option<Box<Entry>>> {
        let is_zero = self.block.iter().all(|&byte| byte == 0);
        self.state = match (&self.state, is_zero) {
            (State::MaybeEnd, true) => State::End,
            (State::MaybeEnd, false) => return Err(self.broken("a block of zeros stands between entries")),
            (_, true) => {
                self.check_nothing_is_pending()?;
                State::MaybeEnd
            }
            (_, false) => return self.end_header(),
        };
        Ok(None)
    }

    /// Checks that every extended header was followed by an entry: otherwise it would apply to an appended one.
    fn check_nothing_is_pending(&self) -> Result<()> {
        let Extended { records, long_path, long_link, .. } = &self.extended;
        let is_pending = !records.is_empty() || long_path.is_some() || long_link.is_some();
        if is_pending { Err(self.broken("an extended header is about nothing")) } else { Ok(()) }
    }

    fn end_header(&mut self) -> Result<Option<Box<Entry>>> {
        let header = header::parse(&self.block).map_err(|reason| self.broken(reason))?;
        if matches!(header.flag, b'x' | b'g' | b'L' | b'K') {
            return self.begin_extended(&header).map(|()| None);
        }
        let entry = self.complete(header)?;
        self.state = State::Content { left: entry.size, padding: padding(entry.size) };
        Ok(Some(Box::new(entry)))
    }

    fn begin_extended(&mut self, header: &Header) -> Result<()> {
        if header.size > MAX_EXTENDED {
            let error = Error::new(ErrorKind::LimitExceeded, "tar holds an extended header that is too large");
            return Err(error.with("size", header.size).with("limit", MAX_EXTENDED).with("offset", self.position));
        }
        self.state = State::Extended { flag: header.flag, left: header.size, padding: padding(header.size) };
        Ok(())
    }

    fn end_extended(&mut self, flag: u8) -> Result<()> {
        let buffer = std::mem::take(&mut self.extended.buffer);
        match flag {
            b'x' => self.extended.records = pax::parse(&buffer).map_err(|reason| self.broken(reason))?,
            b'L' => self.extended.long_path = Some(header::text(&buffer)),
            b'K' => self.extended.long_link = Some(header::text(&buffer)),
            _ => {}
        }
        Ok(())
    }

    /// Lets the extended headers overrule the header.
    fn complete(&mut self, header: Header) -> Result<Entry> {
        let Extended { records, long_path, long_link, .. } = std::mem::take(&mut self.extended);
        if header.flag == b'S' || pax::is_sparse(&records) {
            return Err(self.unsupported("tar holds a sparse file").with_hint("make the layer without sparse files"));
        }
        if EntryKind::from_flag(header.flag).is_none() {
            let error = self.unsupported("tar has an entry of a kind that layers cannot have");
            return Err(error.with("type", char::from(header.flag).escape_default()));
        }
        let mut entry = header.entry;
        let size = pax::apply(records, &mut entry).map_err(|reason| self.broken(reason))?;
        set_if_some(&mut entry.path, long_path);
        set_if_some(&mut entry.link, long_link);
        // The oldest tars have no flag for directories.
        if header.flag == 0 && entry.path.ends_with(b"/") {
            entry.kind = EntryKind::Directory;
        }
        // Other kinds have no content, whatever their size field.
        if entry.kind == EntryKind::File {
            entry.size = size.unwrap_or(header.size);
        }
        Ok(entry)
    }

    fn broken(&self, reason: &'static str) -> Error {
        let error = Error::new(ErrorKind::InvalidManifest, "layer is not a tar stream");
        error.with("reason", reason).with("offset", self.position)
    }

    fn unsupported(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Unsupported, message).with("offset", self.position)
    }
}

fn set_if_some(field: &mut Vec<u8>, value: Option<Vec<u8>>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        *field = value;
    }
}

/// Bytes from the end of content to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
