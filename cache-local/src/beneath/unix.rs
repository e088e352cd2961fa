//! Names below an open directory, by `openat` and similar calls of POSIX.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Named, no_file};

/// A directory, by its descriptor.
#[derive(Debug)]
pub(super) struct Handle(OwnedFd);

/// BuildKit's modes, less what the umask takes away.
const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o666;

fn dir_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// A FIFO is opened at once or not at all, and then found to be none.
fn file_flags() -> OFlags {
    OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens a file for reading, over links as BuildKit does, and without waiting for the other end of a FIFO.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?.into())
}

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::open(path, dir_flags(), Mode::empty())?))
    }

    pub(super) fn dir(&self, name: &str) -> io::Result<Self> {
        let opened = fs::openat(&self.0, name, dir_flags() | OFlags::NOFOLLOW, Mode::empty());
        opened.map(Self).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => {
                io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory, and a link is not followed here")
            }
            error => error.into(),
        })
    }

    pub(super) fn create_dir(&self, name: &str) -> io::Result<()> {
        Ok(fs::mkdirat(&self.0, name, Mode::from_raw_mode(DIR_MODE))?)
    }

    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    pub(super) fn lock_file(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::WRONLY | OFlags::CREATE)
    }

    fn open_file(&self, name: &str, how: OFlags) -> io::Result<File> {
        let opened = fs::openat(&self.0, name, how | file_flags(), Mode::from_raw_mode(FILE_MODE));
        opened.map(File::from).map_err(|error| match error {
            Errno::LOOP => io::Error::new(io::ErrorKind::InvalidInput, "it is a link, which is not followed here"),
            // A FIFO without a reader, or a socket.
            Errno::NXIO | Errno::OPNOTSUPP | Errno::ISDIR => no_file(),
            error => error.into(),
        })
    }

    pub(super) fn has(&self, name: &str, file: &File) -> bool {
        match (fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW), fs::fstat(file)) {
            (Ok(there), Ok(open)) => (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino),
            _ => false,
        }
    }

    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.0, name, &to.0, new)?)
    }

    pub(super) fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn entries(&self) -> io::Result<Vec<Named>> {
        let mut found = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !matches!(name, "." | "..") {
                let is_dir = match entry.file_type() {
                    FileType::Unknown => self.is_dir(name),
                    kind => kind == FileType::Directory,
                };
                found.push(Named { name: name.to_owned(), is_dir });
            }
        }
        Ok(found)
    }

    fn is_dir(&self, name: &str) -> bool {
        let found = fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.0)?)
    }
}
