//! Receiving blobs into temporary files.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::Path;
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

/// Receives a blob into a temporary file, and passes that to `end`: it has the size of the descriptor, but is not
/// completely on disk yet.
///
/// A blob of up to a batch takes one call to a thread that may block, which creates, writes and closes the file.
pub(crate) async fn receive<T: Send + 'static>(
    ingest: &Arc<Ingest>,
    blob: &Descriptor,
    mut stream: BlobStream,
    end: impl FnOnce(TempFile, File) -> Result<T> + Send + 'static,
) -> Result<T> {
    let mut writer = Writer::new(Arc::clone(ingest), SYNC_EVERY);
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
    drop(stream);
    writer.finish(end).await
}

/// A temporary file that is open.
type Open = (TempFile, File);

/// Writes pieces while the next ones arrive.
struct Writer {
    ingest: Arc<Ingest>,
    /// The batch that is being written; it hands the file on. The first one makes it.
    task: Option<Task<Open>>,
    batch: Vec<Bytes>,
    batched: usize,
    sync_every: usize,
    unsynced: usize,
    /// The batch that is being synced to disk.
    sync: Option<Task<()>>,
}

impl Writer {
    fn new(ingest: Arc<Ingest>, sync_every: usize) -> Self {
        Self { ingest, task: None, batch: Vec::new(), batched: 0, sync_every, unsynced: 0, sync: None }
    }

    async fn write(mut self, piece: Bytes) -> Result<Self> {
        self.batched += piece.len();
        self.batch.push(piece);
        if self.batched < BATCH { Ok(self) } else { self.flush().await }
    }

    async fn flush(mut self) -> Result<Self> {
        let open = ended(&mut self.task).await?;
        if let Some((temp, file)) = &open
            && self.unsynced >= self.sync_every
        {
            // One at a time: a disk that is slower than the source slows it down.
            ended(&mut self.sync).await?;
            self.sync = Some(put_on_disk(file, &temp.path())?);
            self.unsynced = 0;
        }
        self.unsynced += std::mem::take(&mut self.batched);
        let (batch, ingest) = (std::mem::take(&mut self.batch), Arc::clone(&self.ingest));
        self.task = Some(start(move || append(&ingest, open, &batch)));
        Ok(self)
    }

    async fn finish<T: Send + 'static>(
        mut self,
        end: impl FnOnce(TempFile, File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = ended(&mut self.task).await?;
        ended(&mut self.sync).await?;
        let last = move || {
            let (temp, file) = append(&self.ingest, open, &self.batch)?;
            end(temp, file)
        };
        blocking(last).await
    }
}

/// Waits for the running job, if there is one, and takes its outcome.
async fn ended<T>(task: &mut Option<Task<T>>) -> Result<Option<T>> {
    match task.take() {
        Some(task) => task.join().await.map(Some),
        None => Ok(None),
    }
}

/// Writes a batch to the file, which is created if needed.
fn append(ingest: &Arc<Ingest>, open: Option<Open>, batch: &[Bytes]) -> Result<Open> {
    let (temp, mut file) = open.map_or_else(|| ingest.create(), Ok)?;
    let written = write_all(&mut file, batch);
    written.map_err(|error| io(error, "cannot write the temporary file", &temp.path()))?;
    Ok((temp, file))
}

/// Syncs the file to disk in the background.
fn put_on_disk(file: &File, path: &Path) -> Result<Task<()>> {
    const MESSAGE: &str = "cannot flush the temporary file to disk";
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
