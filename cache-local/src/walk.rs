//! The blobs of a directory, one after the other.

use std::fs::{self, DirEntry, Metadata, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use cache_core::{Digest, Result, Version};

use crate::error::io as io_error;
use crate::layout::Layout;

/// The name of a blob.
pub(crate) struct BlobName {
    digest: Digest,
    entry: DirEntry,
}

/// A blob that a walk has found.
pub(crate) struct BlobFile {
    pub(crate) digest: Digest,
    pub(crate) metadata: Metadata,
}

/// Every file below `blobs/` whose path is that of a digest; other files are skipped.
pub(crate) struct Walk {
    /// The directories of the algorithms that are still to come.
    dirs: Vec<PathBuf>,
    current: Option<(String, PathBuf, ReadDir)>,
}

impl Walk {
    pub(crate) fn new(layout: &Layout) -> Result<Self> {
        let mut dirs = Vec::new();
        for entry in read_dir(&layout.blobs_dir())?.into_iter().flatten() {
            dirs.push(entry.map_err(|error| unreadable(error, &layout.blobs_dir()))?.path());
        }
        Ok(Self { dirs, current: None })
    }

    /// Goes to the next directory; false at the end.
    fn advance(&mut self) -> Result<bool> {
        let Some(dir) = self.dirs.pop() else { return Ok(false) };
        let algorithm = dir.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        self.current = match algorithm {
            Some(algorithm) if dir.is_dir() => read_dir(&dir)?.map(|entries| (algorithm, dir, entries)),
            _ => None,
        };
        Ok(true)
    }

    /// The next file whose path is that of a digest.
    fn next_name(&mut self) -> Result<Option<BlobName>> {
        loop {
            let Some((algorithm, dir, entries)) = &mut self.current else {
                if self.advance()? {
                    continue;
                }
                return Ok(None);
            };
            let Some(entry) = entries.next() else {
                self.current = None;
                continue;
            };
            let entry = entry.map_err(|error| unreadable(error, dir))?;
            let name = entry.file_name();
            if let Some(digest) = name.to_str().and_then(|hex| format!("{algorithm}:{hex}").parse().ok()) {
                return Ok(Some(BlobName { digest, entry }));
            }
        }
    }

    /// The next `count` names; fewer at the end.
    pub(crate) fn names(&mut self, count: usize) -> Result<Vec<BlobName>> {
        let mut names = Vec::with_capacity(count);
        while names.len() < count
            && let Some(name) = self.next_name()?
        {
            names.push(name);
        }
        Ok(names)
    }
}

impl BlobName {
    /// Looks the file up; `None` if it was deleted meanwhile, or is no file.
    pub(crate) fn look_up(&self) -> Option<BlobFile> {
        let metadata = metadata(&self.entry).ok().filter(Metadata::is_file)?;
        Some(BlobFile { digest: self.digest, metadata })
    }
}

/// The metadata of a file, or of that to which a link leads.
fn metadata(entry: &DirEntry) -> io::Result<Metadata> {
    // With glibc the name alone is looked up, and not the whole path. Windows returns a copy that may be old.
    let metadata = if cfg!(windows) { fs::metadata(entry.path())? } else { entry.metadata()? };
    if metadata.is_symlink() { fs::metadata(entry.path()) } else { Ok(metadata) }
}

impl Iterator for Walk {
    type Item = Result<BlobFile>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_name() {
                Ok(Some(name)) => {
                    if let Some(file) = name.look_up() {
                        return Some(Ok(file));
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The version of a blob: its modification time and size.
pub(crate) fn version(metadata: &Metadata) -> Version {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let since_epoch = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => format!("{}.{:09}", after.as_secs(), after.subsec_nanos()),
        Err(before) => format!("-{}.{:09}", before.duration().as_secs(), before.duration().subsec_nanos()),
    };
    Version::new(format!("{since_epoch}/{}", metadata.len()))
}

fn read_dir(path: &Path) -> Result<Option<ReadDir>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error, path)),
    }
}

fn unreadable(error: io::Error, path: &Path) -> cache_core::Error {
    io_error(error, "cannot list the directory", path)
}
