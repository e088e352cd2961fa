//! The layout of a directory: paths, reading documents, and writing files.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::{Digest, ErrorKind, Result, Timestamp};

use crate::beneath::{Dir, open_to_read};
use crate::error::{at, io, on_path};
use crate::index::Index;

/// The names of files and directories.
pub(crate) const INDEX: &str = "index.json";
pub(crate) const INDEX_LOCK: &str = "index.json.lock";
pub(crate) const MARKER: &str = "oci-layout";
pub(crate) const INGEST: &str = "ingest";
const BLOBS: &str = "blobs";

/// The content of `oci-layout`.
pub(crate) const LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// How often a torn `index.json` is read again; the waits double from 2 ms, and are an eighth of a second in all.
const TORN_READS: u32 = 7;

/// The paths of an OCI layout, with BuildKit's additions.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// A snapshot of `index.json`.
pub(crate) struct Snapshot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: Index,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join(INDEX)
    }

    pub(crate) fn marker_path(&self) -> PathBuf {
        self.root.join(MARKER)
    }

    pub(crate) fn blobs_dir(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir().join(digest.algorithm()).join(digest.hex())
    }

    /// Opens the directory for writing; `None` if it does not exist.
    pub(crate) fn open_root(&self) -> Result<Option<Dir>> {
        match Dir::open(&self.root) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error, "cannot open the directory", &self.root)),
        }
    }

    /// Opens the directory for writing, and creates it if it does not exist.
    pub(crate) fn create_root(&self) -> Result<Dir> {
        create_dirs(&self.root)?;
        Dir::open(&self.root).map_err(|error| io(error, "cannot open the directory", &self.root))
    }

    /// Reads `index.json`; `None` if it does not exist.
    ///
    /// BuildKit rewrites the file in place: it writes at the start, then truncates. What cannot be decoded is therefore
    /// read again a few times before it is an error.
    pub(crate) fn read_index(&self, limit: u64) -> Result<Option<Snapshot>> {
        self.read_index_pausing(limit, thread::sleep)
    }

    fn read_index_pausing(&self, limit: u64, mut pause: impl FnMut(Duration)) -> Result<Option<Snapshot>> {
        let path = self.index_path();
        let mut wait = Duration::from_millis(2);
        for _ in 1..TORN_READS {
            let Some(bytes) = read_file(&path, limit)? else { return Ok(None) };
            if let Ok(index) = Index::decode(&bytes) {
                return Ok(Some(Snapshot { bytes, index }));
            }
            pause(wait);
            wait *= 2;
        }
        let Some(bytes) = read_file(&path, limit)? else { return Ok(None) };
        let index = Index::decode(&bytes).map_err(|error| on_path(error, &path))?;
        Ok(Some(Snapshot { bytes, index }))
    }

    /// Looks a blob up, through a symbolic link as BuildKit does; `None` when it is not there.
    pub(crate) fn blob_metadata(&self, digest: &Digest) -> Result<Option<Metadata>> {
        file_metadata(&self.blob_path(digest)).map_err(|error| error.with("blob", digest))
    }

    /// Opens a blob for reading.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let path = self.blob_path(digest);
        let gone = || at(ErrorKind::NotFound, "blob not found", &path).with("blob", digest);
        self.blob_metadata(digest)?.ok_or_else(gone)?;
        let opened = open_to_read(&path).map_err(|error| io(error, "cannot open the blob", &path))?;
        only_file(opened, &path).map_err(|error| error.with("blob", digest))
    }
}

/// Reads a whole file of at most `limit` bytes; `None` if it does not exist.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let too_large = || at(ErrorKind::LimitExceeded, "document is too large to read", path).with("limit", limit);
    match file_metadata(path)? {
        None => return Ok(None),
        Some(metadata) if metadata.len() > limit => return Err(too_large()),
        Some(_) => {}
    }
    let file = match open_to_read(path) {
        Ok(file) => only_file(file, path)?.0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error, "cannot open the file", path)),
    };
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| io(error, "cannot read the file", path))?;
    // It may have grown since.
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(Some(bytes)) }
}

/// Reads a blob that may be a JSON object, of at most `limit` bytes; most others are ruled out by their beginning.
pub(crate) fn read_if_object(layout: &Layout, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
    const BEGINNING: u64 = 512;
    let path = layout.blob_path(digest);
    let mut beginning = Vec::new();
    let (file, _) = layout.open_blob(digest)?;
    let read = file.take(BEGINNING).read_to_end(&mut beginning);
    read.map_err(|error| io(error, "cannot read the blob", &path))?;
    if beginning.trim_ascii_start().starts_with(b"{") { read_file(&path, limit) } else { Ok(None) }
}

/// Looks up a file; anything else is an error, since opening it could block forever.
pub(crate) fn file_metadata(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(at(ErrorKind::Storage, "not a file", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error, "cannot look up the file", path)),
    }
}

/// The file with its length. The name may point to something else once it is opened.
fn only_file(file: File, path: &Path) -> Result<(File, u64)> {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok((file, metadata.len())),
        Ok(_) => Err(at(ErrorKind::Storage, "not a file", path)),
        Err(error) => Err(io(error, "cannot look up the file", path)),
    }
}

/// Makes a directory and those above it, with BuildKit's mode.
pub(crate) fn create_dirs(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(path).map_err(|error| io(error, "cannot create the directory", path))
}

/// Opens the directory of the blobs that have digests of this kind.
pub(crate) fn blob_dir(root: &Dir, algorithm: &str) -> Result<Dir> {
    let opened = root.dir(BLOBS).and_then(|blobs| blobs.dir(algorithm));
    opened.map_err(|error| io(error, "cannot open the directory of blobs", &root.path().join(BLOBS).join(algorithm)))
}

/// Opens it, and creates it if it does not exist.
pub(crate) fn make_blob_dir(root: &Dir, algorithm: &str) -> Result<Dir> {
    let made = root.make_dir(BLOBS).and_then(|blobs| blobs.make_dir(algorithm));
    made.map_err(|error| io(error, "cannot create the directory of blobs", &root.path().join(BLOBS).join(algorithm)))
}

/// Syncs a directory, so that renames into it survive a crash of the machine.
pub(crate) fn sync(dir: &Dir) -> Result<()> {
    dir.sync().map_err(|error| io(error, "cannot sync the directory", dir.path()))
}

/// Syncs the directories of blobs.
pub(crate) fn sync_blobs(root: &Dir) -> Result<()> {
    let opened = root.dir(BLOBS);
    sync(&opened.map_err(|error| io(error, "cannot open the directory", &root.path().join(BLOBS)))?)
}

/// When a file was last written; `None` for an impossible time, which a damaged file system may show.
pub(crate) fn modified(metadata: &Metadata) -> Option<Timestamp> {
    const YEAR_10000: u64 = 253_402_300_800;
    let time = metadata.modified().ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    (since_epoch.as_secs() < YEAR_10000).then(|| Timestamp::from(time))
}

/// Whether a file was written this long ago or longer.
pub(crate) fn is_older_than(metadata: &Metadata, age: Duration) -> bool {
    let written = metadata.modified().ok();
    written.and_then(|written| SystemTime::now().duration_since(written).ok()).is_some_and(|found| found >= age)
}

#[cfg(test)]
mod tests;
