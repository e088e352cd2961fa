//! The metadata of a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use cache_core::{Error, ErrorKind, Result};

use crate::tar::{Entry, EntryKind};

/// A file, as an entry without its path.
pub(super) struct Found {
    pub(super) entry: Entry,
    /// Set when the file has several names.
    pub(super) inode: Option<Inode>,
    /// Whether it is a whiteout of overlayfs: it marks a deleted file.
    pub(super) is_whiteout: bool,
    /// Whether it is an opaque directory of overlayfs: the contents of lower layers are hidden.
    pub(super) is_opaque: bool,
}

/// The identity of a file: device and inode number.
pub(super) type Inode = (u64, u64);

#[cfg(not(unix))]
pub(super) use self::other::{look, name_bytes, open};
#[cfg(unix)]
pub(super) use self::unix::{look, name_bytes, open};

#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
mod other {
    //! Systems whose files have no modes, owners or devices.

    use std::fs;
    use std::time::SystemTime;

    use super::*;

    /// Looks at a file; `None` for what does not go into a layer.
    pub(in super::super) fn look(path: &Path) -> io::Result<Option<Found>> {
        let metadata = fs::symlink_metadata(path)?;
        let (kind, mode) = match metadata.file_type() {
            kind if kind.is_dir() => (EntryKind::Directory, 0o755),
            kind if kind.is_symlink() => (EntryKind::Symlink, 0o777),
            _ => (EntryKind::File, 0o644),
        };
        let since = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut entry = Entry { kind, mode, ..Entry::default() };
        entry.mtime = (i64::try_from(since.as_secs()).unwrap_or_default(), 0);
        match kind {
            EntryKind::File => entry.size = metadata.len(),
            EntryKind::Symlink => {
                entry.link = fs::read_link(path)?.to_string_lossy().replace('\\', "/").into_bytes();
            }
            _ => {}
        }
        Ok(Some(Found { entry, inode: None, is_whiteout: false, is_opaque: false }))
    }

    /// Opens a file that was looked at.
    pub(in super::super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    /// A name as a layer has it.
    pub(in super::super) fn name_bytes(name: &OsStr, path: &Path) -> Result<Vec<u8>> {
        let text = name.to_str().map(|name| name.as_bytes().to_vec());
        text.ok_or_else(|| Error::new(ErrorKind::Unsupported, "name is not Unicode text").with("path", path.display()))
    }
}
