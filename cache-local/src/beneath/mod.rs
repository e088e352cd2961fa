//! [`Dir`]: an open directory, and file operations below it.
//!
//! A directory may contain anything under the names that a writer uses: a link to elsewhere, or a FIFO that blocks when
//! it is opened. So names are opened relative to the open directory, links are not followed, and only regular files are
//! taken for files. Only the path of the directory itself may contain links.

#[cfg(not(unix))]
#[path = "other.rs"]
mod platform;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use self::platform::Handle;
pub(crate) use self::platform::open_to_read;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    handle: Handle,
    /// Its path when it was opened, for messages.
    path: PathBuf,
}

/// The kind of an entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

impl Dir {
    /// Opens the directory that the user named; links in its path are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { handle: Handle::open(path)?, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory in it.
    pub(crate) fn dir(&self, name: &str) -> io::Result<Self> {
        Ok(Self { handle: self.handle.dir(name)?, path: self.path.join(name) })
    }

    /// Creates a new directory with BuildKit's mode, and opens it.
    pub(crate) fn create_dir(&self, name: &str) -> io::Result<Self> {
        self.handle.create_dir(name)?;
        self.dir(name)
    }

    /// Opens a directory, and creates it if it does not exist.
    pub(crate) fn make_dir(&self, name: &str) -> io::Result<Self> {
        match self.create_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.dir(name),
            made => made,
        }
    }

    /// Creates a new file for writing.
    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        self.handle.create_file(name)
    }

    /// Opens a file for reading.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        only_file(self.handle.file(name)?)
    }

    /// Opens a file to lock it, and creates it if it does not exist. Nothing is read or written.
    pub(crate) fn lock_file(&self, name: &str) -> io::Result<File> {
        only_file(self.handle.lock_file(name)?)
    }

    /// Whether the open file is the one that has this name.
    pub(crate) fn has(&self, name: &str, file: &File) -> bool {
        self.handle.has(name, file)
    }

    /// Renames a file, also into another directory; an existing file is replaced.
    pub(crate) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        self.handle.rename(name, &to.handle, new)
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        self.handle.remove_file(name)
    }

    /// Removes a directory that is empty.
    pub(crate) fn remove_dir(&self, name: &str) -> io::Result<()> {
        self.handle.remove_dir(name)
    }

    /// Its entries, without names that are not UTF-8: no writer of caches makes those.
    pub(crate) fn entries(&self) -> io::Result<Vec<Named>> {
        self.handle.entries()
    }

    /// Syncs it, so that renames into it survive a crash of the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.handle.sync() {
            // Some network file systems do not support it; nothing is lost unless the machine crashes.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

fn only_file(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
