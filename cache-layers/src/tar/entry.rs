//! The fields of a file's header.

use std::collections::BTreeMap;

/// A file, directory or link in a tar stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// The path as it is written, as a rule relative; a directory's ends with a slash.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryKind,
    /// The target of a symbolic or hard link, else empty.
    pub(crate) link: Vec<u8>,
    /// Bytes of content that follow; 0 for everything but files.
    pub(crate) size: u64,
    /// Permission bits, set-id bits and the sticky bit.
    pub(crate) mode: i64,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) user: Vec<u8>,
    pub(crate) group: Vec<u8>,
    /// Seconds since 1970, and the nanoseconds on top.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (i64, i64),
    /// Extended attributes by name.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum EntryKind {
    #[default]
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Directory,
    Fifo,
}

impl EntryKind {
    /// The kind that a header's type flag names; `None` for one that layers have no use for.
    pub(super) fn from_flag(flag: u8) -> Option<Self> {
        Some(match flag {
            b'0' | 0 => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' => Self::Char,
            b'4' => Self::Block,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            _ => return None,
        })
    }

    /// The type flag of a header.
    pub(super) fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::Char => b'3',
            Self::Block => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }
}
