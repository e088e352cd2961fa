//! A tar stream that a thread writes and a task reads.

use std::thread;

use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::try_unfold;
use tokio::sync::mpsc;

/// How many pieces may wait for the reader.
const PIECES: usize = 4;
/// The size of a piece in bytes.
const PIECE: usize = 256 << 10;

/// Runs `write` in a thread of its own, and streams what it writes. The thread ends when the stream is dropped.
pub(super) fn streamed(write: impl FnOnce(&mut Pieces) -> Result<()> + Send + 'static) -> BlobStream {
    let (sender, receiver) = mpsc::channel(PIECES);
    let thread = thread::Builder::new().name("tar-tree".to_owned());
    let spawned = thread.spawn(move || {
        let mut pieces = Pieces { sender, piece: Vec::new() };
        let end = match write(&mut pieces) {
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
            None => Err(Error::new(ErrorKind::Storage, "the thread that read the directory stopped")),
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
