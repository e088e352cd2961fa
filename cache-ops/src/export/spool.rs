//! Converted layers on disk, until every place has them.
//!
//! A layer's digest is known at its end, and stores want it at the beginning. All layers of an export are in as few
//! files as can be, one behind the other: a cache may have more layers than a process may have files open.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Error, ErrorKind, Result};
use cache_kit::outcome;
use cache_layers::Encoding;
use futures_util::stream::{self, TryStreamExt};
use tokio::runtime::Handle;

/// How many bytes are written and read at once.
const PIECE: usize = 1 << 20;

/// The size in bytes at which a file gets no more layers, since file systems and limits bound the size of a file.
const FULL: u64 = 1 << 30;

/// How many names are tried when one is taken.
const TRIES: usize = 100;

/// The files of an export, one that takes layers in each folder.
#[derive(Default)]
pub(super) struct Spool(Mutex<HashMap<PathBuf, Arc<SpoolFile>>>);

/// A layer in a file. The file is deleted with its last layer, however the program ends.
pub(super) struct Spooled {
    pub(super) descriptor: Descriptor,
    file: Arc<SpoolFile>,
    extents: Arc<[Extent]>,
}

/// Bytes of a layer that are in one stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    /// Which bytes of the layer.
    layer: Range<u64>,
    /// Where they are in the file.
    at: u64,
}

/// A file without a name.
struct SpoolFile {
    state: Mutex<State>,
    /// Its former path, for errors.
    dir: PathBuf,
}

struct State {
    file: File,
    end: u64,
}

impl Spool {
    /// Writes a layer to a file in `dir`, which has to be there.
    pub(super) async fn write(&self, dir: &Path, mut layer: Encoding) -> Result<Spooled> {
        let file = self.file(dir).await?;
        let mut extents: Vec<Extent> = Vec::new();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(piece) = layer.try_next().await? {
            bytes += piece.len();
            batch.push(piece);
            if bytes >= PIECE {
                append(&file, std::mem::take(&mut batch), &mut extents).await?;
                bytes = 0;
            }
        }
        append(&file, batch, &mut extents).await?;
        Ok(Spooled { descriptor: layer.finish()?.descriptor, file, extents: extents.into() })
    }

    /// The file of a folder that takes the next layer.
    async fn file(&self, dir: &Path) -> Result<Arc<SpoolFile>> {
        let known = self.lock().get(dir).map(Arc::clone).filter(|file| file.lock().end < FULL);
        if let Some(file) = known {
            return Ok(file);
        }
        let wanted = dir.to_owned();
        let made = Arc::new(blocking(move || SpoolFile::create(wanted)).await?);
        self.lock().insert(dir.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<SpoolFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes pieces to the end of a file, which other layers may share, and notes their ranges.
async fn append(file: &Arc<SpoolFile>, pieces: Vec<Bytes>, extents: &mut Vec<Extent>) -> Result<()> {
    let writer = Arc::clone(file);
    let written = blocking(move || writer.append(&pieces)).await?;
    let start = extents.last().map_or(0, |extent| extent.layer.end);
    let (layer, at) = (start..start + (written.end - written.start), written.start);
    match extents.last_mut() {
        Some(last) if last.at + (last.layer.end - last.layer.start) == at => last.layer.end = layer.end,
        _ => extents.push(Extent { layer, at }),
    }
    Ok(())
}

impl SpoolFile {
    fn create(dir: PathBuf) -> Result<Self> {
        for attempt in 0..TRIES {
            // The standard library seeds each hasher at random.
            let random = RandomState::new().hash_one(attempt);
            let path = dir.join(format!("buildcache-{random:016x}"));
            match options().open(&path) {
                Ok(file) => {
                    fs::remove_file(&path).map_err(|error| failed(error, "cannot unlink the spool file", &path))?;
                    return Ok(Self { state: Mutex::new(State { file, end: 0 }), dir });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error, "cannot create a spool file", &path)),
            }
        }
        Err(Error::new(ErrorKind::Storage, "every name for a spool file is taken").with("path", dir.display()))
    }

    /// Writes pieces and returns their range. The bytes of a failed call are overwritten.
    fn append(&self, pieces: &[Bytes]) -> Result<Range<u64>> {
        let mut state = self.lock();
        let start = state.end;
        let written = state.file.seek(SeekFrom::Start(start)).and_then(|_| {
            pieces.iter().try_fold(start, |end, piece| state.file.write_all(piece).map(|()| end + piece.len() as u64))
        });
        state.end = written.map_err(|error| failed(error, "cannot write the spool file", &self.dir))?;
        Ok(start..state.end)
    }

    fn read_at(&self, at: u64, len: usize) -> Result<Bytes> {
        let mut state = self.lock();
        let mut piece = vec![0; len];
        let read = state.file.seek(SeekFrom::Start(at)).and_then(|_| state.file.read_exact(&mut piece));
        read.map_err(|error| failed(error, "cannot read the spool file", &self.dir))?;
        Ok(piece.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the bytes of a layer from `start` on are in the file, as far as they are in one stretch.
fn find(extents: &[Extent], start: u64) -> Option<Range<u64>> {
    let extent = extents.get(extents.partition_point(|extent| extent.layer.end <= start))?;
    let skipped = start.checked_sub(extent.layer.start)?;
    Some(extent.at + skipped..extent.at + (extent.layer.end - extent.layer.start))
}

#[async_trait]
impl BlobProvider for Spooled {
    async fn stat(&self, _: &Descriptor) -> Result<Option<BlobInfo>> {
        Ok(Some(BlobInfo::new(self.descriptor.size)))
    }

    async fn read(&self, _: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let range = range.unwrap_or(0..self.descriptor.size);
        let start = (Arc::clone(&self.file), Arc::clone(&self.extents), range);
        Ok(Box::pin(stream::try_unfold(start, |(file, extents, rest)| async move {
            let Some(found) = find(&extents, rest.start).filter(|_| !rest.is_empty()) else { return Ok(None) };
            let most = (found.end - found.start).min(rest.end - rest.start);
            let len = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
            let reader = Arc::clone(&file);
            let piece = blocking(move || reader.read_at(found.start, len)).await?;
            Ok(Some((piece, (file, extents, rest.start + len as u64..rest.end))))
        })))
    }
}

/// Other users may not read the layers of a private cache.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(error: io::Error, message: &str, path: &Path) -> Error {
    Error::from_io(error, message).with("path", path.display())
}

/// Runs file system calls on a thread that may block; outside of a runtime, here.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else { return job() };
    outcome(runtime.spawn_blocking(job).await)
}

#[cfg(test)]
mod tests;
