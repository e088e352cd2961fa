//! Unix: modes, owners, links, devices and extended attributes.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

use rustix::fs::{OFlags, lgetxattr, llistxattr, major, minor};
use rustix::io::Errno;

use super::{Entry, EntryKind, Error, ErrorKind, File, Found, OsStr, Path, Result, io};

/// The kernel's limit for the attributes of one file.
const MAX_XATTR: usize = 64 << 10;

/// The attributes by which overlayfs hides the lower contents of a directory.
const OPAQUE: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Looks at a file; `None` for sockets, which layers do not have.
pub(in super::super) fn look(path: &Path) -> io::Result<Option<Found>> {
    let metadata = fs::symlink_metadata(path)?;
    let Some(kind) = kind(&metadata) else { return Ok(None) };
    let (xattrs, is_opaque) = sort(read_xattrs(path)?);
    let entry = Entry {
        kind,
        link: if kind == EntryKind::Symlink { fs::read_link(path)?.into_os_string().into_vec() } else { Vec::new() },
        size: if kind == EntryKind::File { metadata.size() } else { 0 },
        mode: i64::from(metadata.mode() & 0o7777),
        uid: i64::from(metadata.uid()),
        gid: i64::from(metadata.gid()),
        mtime: (metadata.mtime(), 0),
        device: device(kind, &metadata),
        xattrs,
        ..Entry::default()
    };
    let is_linked = metadata.nlink() > 1 && kind != EntryKind::Directory;
    Ok(Some(Found {
        inode: is_linked.then(|| (metadata.dev(), metadata.ino())),
        is_whiteout: kind == EntryKind::Char && entry.device == (0, 0),
        is_opaque: is_opaque && kind == EntryKind::Directory,
        entry,
    }))
}

/// Opens a file that was looked at, and fails if another one has its name by now.
pub(in super::super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no longer a file"))
}

/// A name as a layer has it.
pub(in super::super) fn name_bytes(name: &OsStr, path: &Path) -> Result<Vec<u8>> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Storage, "directory holds an empty name").with("path", path.display()));
    }
    Ok(name.as_bytes().to_vec())
}

fn kind(metadata: &Metadata) -> Option<EntryKind> {
    let kind = metadata.file_type();
    Some(match () {
        () if kind.is_file() => EntryKind::File,
        () if kind.is_dir() => EntryKind::Directory,
        () if kind.is_symlink() => EntryKind::Symlink,
        () if kind.is_char_device() => EntryKind::Char,
        () if kind.is_block_device() => EntryKind::Block,
        () if kind.is_fifo() => EntryKind::Fifo,
        () => return None,
    })
}

fn device(kind: EntryKind, metadata: &Metadata) -> (i64, i64) {
    match kind {
        EntryKind::Char | EntryKind::Block => {
            let device = metadata.rdev() as rustix::fs::Dev;
            (i64::from(major(device)), i64::from(minor(device)))
        }
        _ => (0, 0),
    }
}

/// The attributes for the layer, and whether one marks the directory as opaque.
fn sort(all: Xattrs) -> (Xattrs, bool) {
    let is_opaque = OPAQUE.iter().any(|name| all.get(*name).is_some_and(|value| value == b"y"));
    let is_kept = |name: &[u8]| {
        name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    };
    (all.into_iter().filter(|(name, _)| is_kept(name)).collect(), is_opaque)
}

/// Reads all attributes; none if the file system does not support them.
fn read_xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut buffer = vec![0; MAX_XATTR];
    let length = match llistxattr(path, buffer.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::new()),
        Err(error) => return Err(error.into()),
    };
    let names: Vec<Vec<u8>> = buffer[..length].split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    let mut found = Xattrs::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        match lgetxattr(path, name.as_slice(), buffer.as_mut_slice()) {
            Ok(length) => drop(found.insert(name, buffer[..length].to_vec())),
            // It was deleted meanwhile, or is hidden from this user.
            Err(Errno::NODATA | Errno::ACCESS | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
