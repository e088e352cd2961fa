//! Streams of blobs, which read one piece ahead.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use cache_core::{BlobStream, Descriptor, ErrorKind, Result};
use futures_util::stream::{self, StreamExt};

use crate::error::{at, io};
use crate::layout::Layout;
use crate::task::{Task, blocking, start};

/// The size of a piece in bytes; two pieces are in memory for each stream.
const PIECE: u64 = 512 << 10;

/// The rest of a blob.
struct Rest {
    file: File,
    path: PathBuf,
    left: u64,
}

/// Opens a blob, or a part of it, up to its end.
///
/// # Errors
/// [`ErrorKind::DigestMismatch`] for a file of another length: reading it again would not help, as it may after a stream
/// that ended early.
pub(crate) async fn open(layout: Layout, blob: Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    // The first piece is read in the job that opens the file: most blobs have no other.
    let (first, rest) = blocking(move || Rest::open(&layout, &blob, range)?.read_piece()).await?;
    let others = stream::try_unfold(start_next(rest), async |next: Option<Task<(Bytes, Rest)>>| {
        let Some(task) = next else { return Ok(None) };
        let (piece, rest) = task.join().await?;
        if piece.is_empty() { Ok(None) } else { Ok(Some((piece, start_next(rest)))) }
    });
    Ok(Box::pin(stream::iter((!first.is_empty()).then_some(Ok(first))).chain(others)))
}

fn start_next(rest: Rest) -> Option<Task<(Bytes, Rest)>> {
    (rest.left > 0).then(|| start(move || rest.read_piece()))
}

impl Rest {
    fn open(layout: &Layout, blob: &Descriptor, range: Option<Range<u64>>) -> Result<Self> {
        let (mut file, size) = layout.open_blob(&blob.digest)?;
        let path = layout.blob_path(&blob.digest);
        if size != blob.size {
            let error = at(ErrorKind::DigestMismatch, "the file has another length than its descriptor says", &path);
            let error = error.with_blob(blob.digest, blob.size).with("got", size);
            return Err(error.with_hint("repair leaves out the results that need it"));
        }
        let range = range.unwrap_or(0..size);
        let left = range.end.min(size).saturating_sub(range.start);
        if range.start > 0 && left > 0 {
            file.seek(SeekFrom::Start(range.start)).map_err(|error| io(error, "cannot read the blob", &path))?;
        }
        Ok(Self { file, path, left })
    }

    /// Reads a piece; an empty one when the file has become shorter, which the verifying reader notices.
    fn read_piece(mut self) -> Result<(Bytes, Self)> {
        let wanted = self.left.min(PIECE);
        // A piece is half a MiB at most, on every platform a valid capacity.
        let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let read = (&mut self.file).take(wanted).read_to_end(&mut piece);
        read.map_err(|error| io(error, "cannot read the blob", &self.path))?;
        self.left -= piece.len() as u64;
        Ok((piece.into(), self))
    }
}
