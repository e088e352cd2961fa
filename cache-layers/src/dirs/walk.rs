//! Walking a directory in the order of a layer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::vec;

use cache_core::{Error, ErrorKind, Result};

use super::metadata::{self, Found, Inode};
use super::options::TreeOptions;
use super::pieces::Pieces;
use crate::tar::{END, Entry, EntryKind, padding, write_header};

/// What marks a deleted file (OCI image spec, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// What marks a directory whose lower contents are hidden.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The size of reads, in bytes.
const PIECE: u64 = 64 << 10;

/// Writes the whole tar stream of a directory.
pub(super) fn write_tree(directory: &Path, options: &TreeOptions, out: &mut Pieces) -> Result<()> {
    let mut walk = Walk { options, links: HashMap::new(), out };
    let mut open = vec![Directory::read(directory.to_owned(), Vec::new())?];
    while let Some(directory) = open.last_mut() {
        let Some(name) = directory.names.next() else {
            open.pop();
            continue;
        };
        let path = directory.path.join(&name);
        let entry_path = [&directory.prefix, metadata::name_bytes(&name, &path)?.as_slice()].concat();
        if let Some(prefix) = walk.entry(&path, entry_path)? {
            open.push(Directory::read(path, prefix)?);
        }
    }
    out.write(|out| out.extend_from_slice(&END))
}

/// A directory that is being walked.
struct Directory {
    path: PathBuf,
    /// Its path in the layer, with a slash at the end.
    prefix: Vec<u8>,
    names: vec::IntoIter<OsString>,
}

impl Directory {
    fn read(path: PathBuf, prefix: Vec<u8>) -> Result<Self> {
        let entries = fs::read_dir(&path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        let mut names: Vec<OsString> = entries.map_err(|error| unreadable(error, &path))?;
        names.sort();
        Ok(Self { path, prefix, names: names.into_iter() })
    }
}

struct Walk<'a> {
    options: &'a TreeOptions,
    /// The first path of each file that has several.
    links: HashMap<Inode, Vec<u8>>,
    out: &'a mut Pieces,
}

impl Walk<'_> {
    /// Writes the entry at `path`; for a directory, returns the prefix of its entries.
    fn entry(&mut self, path: &Path, entry_path: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let Some(found) = metadata::look(path).map_err(|error| unreadable(error, path))? else { return Ok(None) };
        let Found { mut entry, inode, is_whiteout, is_opaque } = found;
        self.overrule(&mut entry);
        entry.path = entry_path;
        if is_whiteout {
            return self.whiteout(&entry).map(|()| None);
        }
        match entry.kind {
            EntryKind::Directory => self.directory(entry, is_opaque).map(Some),
            EntryKind::File if entry.size > 0 => self.file(path, entry, inode).map(|()| None),
            _ => {
                self.link_or(&mut entry, inode);
                self.header(&entry).map(|()| None)
            }
        }
    }

    fn directory(&mut self, mut entry: Entry, is_opaque: bool) -> Result<Vec<u8>> {
        entry.path.push(b'/');
        self.header(&entry)?;
        if is_opaque {
            let path = [entry.path.as_slice(), OPAQUE].concat();
            self.header(&Entry { path, mtime: entry.mtime, ..Entry::default() })?;
        }
        Ok(entry.path)
    }

    fn whiteout(&mut self, entry: &Entry) -> Result<()> {
        let start = entry.path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = entry.path.split_at(start);
        let path = [directory, WHITEOUT, name].concat();
        self.header(&Entry { path, mtime: entry.mtime, ..Entry::default() })
    }

    fn file(&mut self, path: &Path, mut entry: Entry, inode: Option<Inode>) -> Result<()> {
        if self.link_or(&mut entry, inode) {
            return self.header(&entry);
        }
        let file = metadata::open(path).map_err(|error| unreadable(error, path))?;
        self.header(&entry)?;
        self.content(file, entry.size, path)
    }

    /// Copies `size` bytes, whatever happens to the file meanwhile, or fails.
    fn content(&mut self, mut file: File, size: u64, path: &Path) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let mut read = Ok(0);
            self.out.write(|out| read = (&mut file).take(left.min(PIECE)).read_to_end(out))?;
            match read.map_err(|error| unreadable(error, path))? {
                0 => {
                    let error = Error::new(ErrorKind::Storage, "file became shorter while it was read");
                    return Err(error.with("path", path.display()));
                }
                read => left -= read as u64,
            }
        }
        self.out.write(|out| out.extend_from_slice(padding(size)))
    }

    /// Makes an entry a hard link if its file was seen before.
    fn link_or(&mut self, entry: &mut Entry, inode: Option<Inode>) -> bool {
        let Some(inode) = inode else { return false };
        if let Some(first) = self.links.get(&inode) {
            entry.kind = EntryKind::HardLink;
            entry.link = first.clone();
            entry.size = 0;
            return true;
        }
        self.links.insert(inode, entry.path.clone());
        false
    }

    fn overrule(&self, entry: &mut Entry) {
        if let Some(latest) = self.options.source_date_epoch {
            entry.mtime.0 = entry.mtime.0.min(latest);
        }
        if let Some((user, group)) = self.options.owner {
            (entry.uid, entry.gid) = (i64::from(user), i64::from(group));
        }
    }

    fn header(&mut self, entry: &Entry) -> Result<()> {
        self.out.write(|out| write_header(out, entry))
    }
}

fn unreadable(error: io::Error, path: &Path) -> Error {
    Error::from_io(error, "cannot read a file for the layer").with("path", path.display())
}
