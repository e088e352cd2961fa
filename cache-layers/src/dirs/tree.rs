//! A directory as a tar stream.

use std::path::PathBuf;
use std::thread;

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::try_unfold;
use tokio::sync::mpsc;

use super::walk::write_tree;

/// How many pieces may wait for the reader.
const PIECES: usize = 4;
/// The size of a piece in bytes.
const PIECE: usize = 256 << 10;

/// Which times and owners the files of a layer get.
///
/// By default everything is as it is in the directory, which is not reproducible: files are as old as their making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TreeOptions {
    /// Later times of files become this one: seconds since 1970, as `SOURCE_DATE_EPOCH` gives them
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>). The environment is not read.
    pub source_date_epoch: Option<i64>,
    /// The owner of all files: user and group.
    pub owner: Option<(u32, u32)>,
}

impl TreeOptions {
    /// Changes the latest time that a file may have.
    #[must_use]
    pub fn with_source_date_epoch(self, seconds: i64) -> Self {
        Self { source_date_epoch: Some(seconds), ..self }
    }

    /// Sets the owner of all files.
    #[must_use]
    pub fn with_owner(self, user: u32, group: u32) -> Self {
        Self { owner: Some((user, group)), ..self }
    }
}

/// Reads a directory as the tar stream of a layer; equal trees give equal bytes.
///
/// Entries are sorted by the bytes of their names, a directory before what is in it; the directory itself has none. Times
/// are cut to seconds. Long names, large numbers and extended attributes are in pax headers. On Unix:
///
/// * Modes, owners (as numbers), symbolic links, hard links within the tree, devices and FIFOs are kept; sockets are left
///   out.
/// * Of the extended attributes `user.*` and `security.capability` are kept. The others belong to the machine.
/// * A device 0:0 and the attribute `overlay.opaque` (`trusted.` or `user.`) are how overlayfs notes what was deleted:
///   they become the whiteouts `.wh.NAME` and `.wh..wh..opq` of the OCI image spec. Files that have such a name already
///   are whiteouts, too.
///
/// Elsewhere directories have mode 755 and files 644, and owner 0:0.
///
/// The tree is read by a thread of its own, some hundred kilobytes ahead of the reader; it ends when the stream is
/// dropped. It holds the names in the directories on the way to the current one, and the hard links it has seen.
///
/// # Errors
/// The stream fails when a file cannot be read, or becomes shorter meanwhile; the error names the path.
#[must_use]
pub fn tar_tree(directory: impl Into<PathBuf>, options: &TreeOptions) -> BlobStream {
    let (sender, receiver) = mpsc::channel(PIECES);
    let (directory, options) = (directory.into(), *options);
    let thread = thread::Builder::new().name("tar-tree".to_owned());
    let spawned = thread.spawn(move || {
        let mut pieces = Pieces { sender, piece: Vec::new() };
        let end = match write_tree(&directory, &options, &mut pieces) {
            Ok(()) => pieces.flush().map(|()| Message::End),
            Err(error) => Err(error),
        };
        // If this fails, the reader was dropped.
        let _ = pieces.sender.blocking_send(end.unwrap_or_else(Message::Failed));
    });
    let failure = spawned.err().map(|error| Error::from_io(error, "cannot start a thread"));
    Box::pin(try_unfold((receiver, failure), |(mut receiver, failure)| async move {
        if let Some(error) = failure {
            return Err(error);
        }
        match receiver.recv().await {
            Some(Message::Piece(piece)) => Ok(Some((piece, (receiver, None)))),
            Some(Message::End) => Ok(None),
            Some(Message::Failed(error)) => Err(error),
            None => Err(Error::new(ErrorKind::Storage, "reading the directory was broken off")),
        }
    }))
}

enum Message {
    Piece(Bytes),
    /// Marks the end of the stream. A thread that panics does not send it.
    End,
    Failed(Error),
}

/// Sends the tar stream to the reader.
pub(super) struct Pieces {
    sender: mpsc::Sender<Message>,
    piece: Vec<u8>,
}

impl Pieces {
    /// Sends what `write` has added once it fills a piece.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        write(&mut self.piece);
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        let gone = |_| Error::new(ErrorKind::Unavailable, "nobody reads the layer").with_retryable(false);
        self.sender.blocking_send(Message::Piece(piece.into())).map_err(gone)
    }
}
