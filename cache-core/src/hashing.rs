//! Hashing beside the task that moves the bytes, so that blobs that move at once are hashed on several cores.

use std::panic::resume_unwind;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::{Digest, Digester, Error, ErrorKind, Result};

/// How many bytes are handed to another thread at once; at most twice as many wait for being hashed.
const BATCH: usize = 1 << 20;

/// Up to this size a blob is hashed where it is read: another thread would cost more than it saves.
const SMALL: u64 = 256 << 10;

/// Hashes a stream piece by piece, large ones on the runtime's blocking threads.
///
/// A thread is only taken for a batch, never while the stream waits for more bytes.
pub(crate) struct StreamHasher {
    state: State,
    /// Where batches are hashed; none where hashing happens at once.
    runtime: Option<Handle>,
    batch: Vec<Bytes>,
    batched: usize,
}

enum State {
    Idle(Digester),
    Busy(JoinHandle<Digester>),
    /// The digest was taken, or the runtime went away.
    Over,
}

impl StreamHasher {
    /// Hashes a stream of about `size` bytes.
    pub(crate) fn new(digester: Digester, size: u64) -> Self {
        let runtime = if size > SMALL { Handle::try_current().ok() } else { None };
        Self { state: State::Idle(digester), runtime, batch: Vec::new(), batched: 0 }
    }

    /// Waits until another piece may be given.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.batched < BATCH {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_idle(cx))?;
        self.start();
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece.
    pub(crate) fn update(&mut self, piece: &Bytes) {
        match (&mut self.state, &self.runtime) {
            (State::Idle(digester), None) => digester.update(piece),
            _ => {
                self.batched = self.batched.saturating_add(piece.len());
                self.batch.push(piece.clone());
            }
        }
    }

    /// The digest of all pieces.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Digest>> {
        ready!(self.poll_idle(cx))?;
        if !self.batch.is_empty() {
            self.start();
            ready!(self.poll_idle(cx))?;
        }
        Poll::Ready(match std::mem::replace(&mut self.state, State::Over) {
            State::Idle(digester) => Ok(digester.finish()),
            State::Busy(_) | State::Over => Err(over()),
        })
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let State::Busy(job) = &mut self.state else { return Poll::Ready(Ok(())) };
        let done = ready!(job.poll_unpin(cx));
        self.state = State::Over;
        match done {
            Ok(digester) => self.state = State::Idle(digester),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => return Poll::Ready(Err(over().with_source(error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the batch to another thread; the hasher is idle.
    fn start(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        if let State::Idle(mut digester) = std::mem::replace(&mut self.state, State::Over) {
            let batch = std::mem::take(&mut self.batch);
            self.batched = 0;
            self.state = State::Busy(runtime.spawn_blocking(move || {
                batch.iter().for_each(|piece| digester.update(piece));
                digester
            }));
        }
    }
}

fn over() -> Error {
    Error::new(ErrorKind::Unavailable, "the runtime is shutting down")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn hash(bytes: &Bytes, piece: usize) -> Digest {
        let mut hasher = StreamHasher::new(Digester::sha256(), bytes.len() as u64);
        for at in (0..bytes.len()).step_by(piece) {
            poll_fn(|cx| hasher.poll_ready(cx)).await.unwrap();
            assert!(hasher.batched < BATCH);
            hasher.update(&bytes.slice(at..bytes.len().min(at + piece)));
        }
        poll_fn(|cx| hasher.poll_finish(cx)).await.unwrap()
    }

    #[tokio::test]
    async fn however_a_stream_is_cut_its_digest_is_the_same() {
        let bytes: Bytes = (0..3_u32 << 20).map(|n| (n >> 3) as u8).collect();
        for piece in [100_000, BATCH, 2 * BATCH + 1, bytes.len()] {
            assert_eq!(hash(&bytes, piece).await, Digest::sha256(&bytes), "{piece}");
        }
        assert_eq!(hash(&Bytes::from_static(b"a"), 1).await, Digest::sha256(b"a"));
        assert_eq!(hash(&Bytes::new(), 1).await, Digest::sha256(b""));
    }

    #[test]
    fn nothing_is_needed_of_a_runtime() {
        let bytes = Bytes::from(vec![7; 2 * BATCH]);
        assert_eq!(hash(&bytes, 1_000).now_or_never(), Some(Digest::sha256(&bytes)));
    }
}
