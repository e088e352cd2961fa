//! Names below a directory, by path: without `openat`, a name is checked before it is used.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Named, no_file};

/// A directory, by its path.
#[derive(Debug)]
pub(super) struct Handle(PathBuf);

/// Opens a file for reading.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    File::open(path)
}

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() { Ok(Self(path.to_owned())) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn dir(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        if fs::symlink_metadata(&path)?.is_dir() { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn create_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.0.join(name))
    }

    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        let path = self.own(name)?;
        // A time is set on an open file, which takes the right to write.
        OpenOptions::new().read(true).write(true).open(path)
    }

    pub(super) fn lock_file(&self, name: &str) -> io::Result<File> {
        let path = self.own(name)?;
        OpenOptions::new().write(true).create(true).truncate(false).open(path)
    }

    /// The path of a name that is free or a file.
    fn own(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => Err(no_file()),
            _ => Ok(path),
        }
    }

    /// These systems keep an open file's name from being used again, or do not say which file it is.
    pub(super) fn has(&self, name: &str, _: &File) -> bool {
        self.0.join(name).exists()
    }

    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        fs::rename(self.0.join(name), to.0.join(new))
    }

    pub(super) fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    pub(super) fn remove_dir(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    pub(super) fn entries(&self) -> io::Result<Vec<Named>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            found.extend(entry.file_name().into_string().ok().map(|name| Named { name, is_dir }));
        }
        Ok(found)
    }

    /// Directories are not synced.
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
