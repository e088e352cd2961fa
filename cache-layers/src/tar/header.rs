//! One header block: its checksum, its dialect, its fields.

use super::entry::{Entry, EntryKind};
use super::{BLOCK, number};

/// Where the fields of a header are.
pub(super) mod field {
    use std::ops::Range;

    pub(in super::super) const NAME: Range<usize> = 0..100;
    pub(in super::super) const MODE: Range<usize> = 100..108;
    pub(in super::super) const UID: Range<usize> = 108..116;
    pub(in super::super) const GID: Range<usize> = 116..124;
    pub(in super::super) const SIZE: Range<usize> = 124..136;
    pub(in super::super) const MTIME: Range<usize> = 136..148;
    pub(in super::super) const CHECKSUM: Range<usize> = 148..156;
    pub(in super::super) const FLAG: usize = 156;
    pub(in super::super) const LINK: Range<usize> = 157..257;
    pub(in super::super) const MAGIC: Range<usize> = 257..265;
    pub(in super::super) const USER: Range<usize> = 265..297;
    pub(in super::super) const GROUP: Range<usize> = 297..329;
    pub(in super::super) const MAJOR: Range<usize> = 329..337;
    pub(in super::super) const MINOR: Range<usize> = 337..345;
    pub(in super::super) const PREFIX: Range<usize> = 345..500;
    pub(super) const STAR_PREFIX: Range<usize> = 345..476;
    pub(super) const STAR_TRAILER: Range<usize> = 508..512;
    pub(super) const GNU_ATIME: Range<usize> = 345..357;
    pub(super) const GNU_CTIME: Range<usize> = 357..369;
}

/// The magic and version of POSIX ustar.
pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";

/// A header from its block, before extended headers override it.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) flag: u8,
    pub(super) entry: Entry,
    /// The size field, whatever the kind.
    pub(super) size: u64,
}

/// Reads a block that is not all zeros; the error is the reason why it is invalid.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
    if !is_checksum_right(block) {
        return Err("the checksum of a header is wrong");
    }
    read_fields(block).ok_or("a header holds a bad number")
}

fn read_fields(block: &[u8; BLOCK]) -> Option<Header> {
    let number = |range| number::parse(&block[range]);
    let flag = block[field::FLAG];
    let mut entry = Entry {
        path: text(&block[field::NAME]),
        kind: EntryKind::from_flag(flag).unwrap_or_default(),
        link: text(&block[field::LINK]),
        mode: number(field::MODE)?,
        uid: number(field::UID)?,
        gid: number(field::GID)?,
        mtime: (number(field::MTIME)?, 0),
        ..Entry::default()
    };
    let dialect = Dialect::of(block);
    if dialect != Dialect::V7 {
        entry.user = text(&block[field::USER]);
        entry.group = text(&block[field::GROUP]);
        entry.device = (number(field::MAJOR)?, number(field::MINOR)?);
        let prefix = prefix(block, dialect);
        if !prefix.is_empty() {
            entry.path = [prefix.as_slice(), b"/", &entry.path].concat();
        }
    }
    Some(Header { flag, entry, size: u64::try_from(number(field::SIZE)?).ok()? })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Dialect {
    fn of(block: &[u8; BLOCK]) -> Self {
        match &block[field::MAGIC] {
            magic if magic.starts_with(b"ustar\0") && &block[field::STAR_TRAILER] == b"tar\0" => Self::Star,
            magic if magic.starts_with(b"ustar\0") => Self::Ustar,
            b"ustar  \0" => Self::Gnu,
            _ => Self::V7,
        }
    }
}

fn prefix(block: &[u8; BLOCK], dialect: Dialect) -> Vec<u8> {
    match dialect {
        Dialect::Ustar => text(&block[field::PREFIX]),
        Dialect::Star => text(&block[field::STAR_PREFIX]),
        // GNU tar keeps times here, but Go before 1.8 wrote a prefix (golang.org/issue/12594).
        Dialect::Gnu if !has_gnu_times(block) => {
            let prefix = text(&block[field::PREFIX]);
            if prefix.is_ascii() { prefix } else { Vec::new() }
        }
        Dialect::Gnu | Dialect::V7 => Vec::new(),
    }
}

fn has_gnu_times(block: &[u8; BLOCK]) -> bool {
    [field::GNU_ATIME, field::GNU_CTIME].into_iter().all(|range| {
        let time = &block[range];
        time.first() == Some(&0) || number::parse(time).is_some()
    })
}

/// A field ends at its first NUL, or is full.
pub(super) fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// The sum of a block's bytes, with its checksum field as spaces: as POSIX counts, and as old tars with signed bytes.
pub(super) fn checksum(block: &[u8; BLOCK]) -> (i64, i64) {
    let bytes = block.iter().enumerate().map(|(at, &byte)| if field::CHECKSUM.contains(&at) { b' ' } else { byte });
    bytes.fold((0, 0), |(unsigned, signed), byte| (unsigned + i64::from(byte), signed + i64::from(byte as i8)))
}

fn is_checksum_right(block: &[u8; BLOCK]) -> bool {
    let (unsigned, signed) = checksum(block);
    number::parse_octal(&block[field::CHECKSUM]).is_some_and(|said| said == unsigned || said == signed)
}
