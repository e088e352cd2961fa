//! Blobs on their way into temporary files.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Result, Side};
use futures_util::TryStreamExt;

use crate::error::io;
use crate::ingest::{Ingest, TempFile};
use crate::task::{Task, blocking, start};

/// How many bytes are handed to the file system at once; twice as many are in memory for each blob.
const BATCH: usize = 1 << 20;

/// How many bytes of a large blob are put on disk at once, while the next ones arrive; else its end waits for all of
/// them.
const SYNC_EVERY: usize = 64 << 20;

/// Receives a blob into a temporary file; it holds as many bytes as the descriptor says, but they are not all on disk yet.
pub(crate) async fn receive(
    ingest: &Arc<Ingest>,
    blob: &Descriptor,
    mut stream: BlobStream,
) -> Result<(TempFile, File)> {
    let ingest = Arc::clone(ingest);
    let (temp, file) = blocking(move || ingest.create()).await?;
    let mut writer = Writer::new(file, temp.path(), SYNC_EVERY);
    let mut received = 0_u64;
    while let Some(piece) = stream.try_next().await? {
        received = received.saturating_add(piece.len() as u64);
        if received > blob.size {
            break;
        }
        writer = writer.write(piece).await?;
    }
    if received != blob.size {
        let kind = if received < blob.size { ErrorKind::Unavailable } else { ErrorKind::DigestMismatch };
        let error = Error::new(kind, "blob is not as long as its descriptor says").on(Side::Source);
        return Err(error.with("blob", blob.digest).with("size", blob.size).with("got", received));
    }
    Ok((temp, writer.finish().await?))
}

/// Writes pieces while the next ones arrive.
struct Writer {
    /// The batch that is being written; it hands the file on.
    task: Task<File>,
    path: PathBuf,
    batch: Vec<Bytes>,
    batched: usize,
    sync_every: usize,
    unsynced: usize,
    /// What was written before and is being put on disk.
    sync: Option<Task<()>>,
}

impl Writer {
    fn new(file: File, path: &Path, sync_every: usize) -> Self {
        let task = start(move || Ok(file));
        Self { task, path: path.to_owned(), batch: Vec::new(), batched: 0, sync_every, unsynced: 0, sync: None }
    }

    async fn write(mut self, piece: Bytes) -> Result<Self> {
        self.batched += piece.len();
        self.batch.push(piece);
        if self.batched < BATCH { Ok(self) } else { self.flush().await }
    }

    async fn flush(mut self) -> Result<Self> {
        let mut file = self.task.join().await?;
        if self.unsynced >= self.sync_every {
            // One at a time: a disk that is slower than the source slows it down.
            if let Some(sync) = self.sync.take() {
                sync.join().await?;
            }
            self.sync = Some(put_on_disk(&file, &self.path)?);
            self.unsynced = 0;
        }
        self.unsynced += std::mem::take(&mut self.batched);
        let (batch, path) = (std::mem::take(&mut self.batch), self.path.clone());
        self.task = start(move || {
            let written = write_all(&mut file, &batch);
            written.map_err(|error| io(error, "cannot write the temporary file", &path))?;
            Ok(file)
        });
        Ok(self)
    }

    async fn finish(self) -> Result<File> {
        let Self { task, sync, .. } = self.flush().await?;
        if let Some(sync) = sync {
            sync.join().await?;
        }
        task.join().await
    }
}

/// Puts what the file holds so far on disk, in the background.
fn put_on_disk(file: &File, path: &Path) -> Result<Task<()>> {
    const MESSAGE: &str = "cannot put the temporary file on disk";
    let (file, path) = (file.try_clone().map_err(|error| io(error, MESSAGE, path))?, path.to_owned());
    Ok(start(move || file.sync_data().map_err(|error| io(error, MESSAGE, &path))))
}

/// Writes pieces with few calls: a network hands them over in kilobytes.
fn write_all(file: &mut impl Write, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
