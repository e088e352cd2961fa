//! A converted layer on disk, until every place has it.
//!
//! Its digest is known at its end, and stores want it at the beginning.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};
use tokio::runtime::Handle;

use cache_core::{BlobInfo, BlobProvider, BlobStream, Descriptor, Encoding, Error, ErrorKind, Result, outcome};

/// How many bytes are written and read at once.
const PIECE: usize = 1 << 20;

/// How often another name is tried when one is taken.
const TRIES: usize = 100;

/// A layer in a file without a name: it is gone when nobody has it open, however the program ends.
pub(super) struct Spooled {
    pub(super) descriptor: Descriptor,
    file: Arc<SpoolFile>,
}

struct SpoolFile {
    file: Mutex<File>,
    /// Where it is; only errors still say so.
    dir: PathBuf,
}

/// Writes a layer to a file in `dir`, which has to be there.
pub(super) async fn spool(dir: &Path, mut layer: Encoding) -> Result<Spooled> {
    let dir = dir.to_owned();
    let mut file = blocking(move || SpoolFile::create(dir)).await?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(piece) = layer.try_next().await? {
        bytes += piece.len();
        batch.push(piece);
        if bytes >= PIECE {
            let full = std::mem::take(&mut batch);
            bytes = 0;
            file = blocking(move || file.append(&full)).await?;
        }
    }
    file = blocking(move || file.append(&batch)).await?;
    Ok(Spooled { descriptor: layer.finish()?.descriptor, file: Arc::new(file) })
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
                    return Ok(Self { file: Mutex::new(file), dir });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error, "cannot create a spool file", &path)),
            }
        }
        Err(Error::new(ErrorKind::Storage, "every name for a spool file is taken").with("path", dir.display()))
    }

    fn append(self, pieces: &[Bytes]) -> Result<Self> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces {
            file.write_all(piece).map_err(|error| failed(error, "cannot write the spool file", &self.dir))?;
        }
        drop(file);
        Ok(self)
    }

    fn read_at(&self, at: u64, len: usize) -> Result<Bytes> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut piece = vec![0; len];
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut piece));
        read.map_err(|error| failed(error, "cannot read the spool file", &self.dir))?;
        Ok(piece.into())
    }
}

#[async_trait]
impl BlobProvider for Spooled {
    async fn stat(&self, _: &Descriptor) -> Result<Option<BlobInfo>> {
        Ok(Some(BlobInfo::new(self.descriptor.size)))
    }

    async fn read(&self, _: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let range = range.unwrap_or(0..self.descriptor.size);
        let start = (Arc::clone(&self.file), range);
        Ok(Box::pin(stream::try_unfold(start, |(file, range)| async move {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(PIECE).min(PIECE);
            if len == 0 {
                return Ok(None);
            }
            let (reader, at) = (Arc::clone(&file), range.start);
            let piece = blocking(move || reader.read_at(at, len)).await?;
            Ok(Some((piece, (file, at + len as u64..range.end))))
        })))
    }
}

/// Nobody else may read the layers of a private cache.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(error: std::io::Error, message: &str, path: &Path) -> Error {
    Error::from_io(error, message).with("path", path.display())
}

/// Runs file system calls on a thread that may block; outside of a runtime, here.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else { return job() };
    outcome(runtime.spawn_blocking(job).await)
}

#[cfg(test)]
mod tests {
    use cache_core::{CodecPool, Compression, CompressionKind, encode, stream_of};

    use super::*;

    async fn spooled(dir: &Path, bytes: &Bytes) -> Result<Spooled> {
        let plain = Compression::new(CompressionKind::Uncompressed);
        spool(dir, encode(stream_of(bytes.clone()), &plain, &CodecPool::new(1))?).await
    }

    async fn read(spooled: &Spooled, range: Option<Range<u64>>) -> Vec<u8> {
        let stream = spooled.read(&spooled.descriptor, range).await.unwrap();
        stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn a_layer_is_read_as_it_was_written_and_has_no_name() {
        let dir = std::env::temp_dir().join(format!("buildcache-spool-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let bytes: Bytes = (0..5_u32 << 19).map(|n| (n >> 5) as u8).collect();
        let spooled = spooled(&dir, &bytes).await.unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        assert_eq!(spooled.descriptor.digest, cache_core::Digest::sha256(&bytes));
        let (one, two) = futures_util::future::join(read(&spooled, None), read(&spooled, Some(7..2_000_000))).await;
        assert!(one == bytes && two == bytes[7..2_000_000]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let error = spooled(Path::new("/nowhere/at/all"), &Bytes::from_static(b"a")).await.err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
