//! Hashing beside a stream: in order, on the pool, a bounded way behind.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache_core::model::{Digest, Digester};
use cache_core::seams::BlobStream;
use cache_core::{Error, Result};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::pool::{CodecPool, Job};

/// The least bytes that a job hashes, so that small pieces are as cheap as large ones.
const BATCH: usize = 512 << 10;
/// The most bytes that may wait to be hashed; the stream stops above that.
const BACKLOG: usize = 4 << 20;

/// Hashes pieces in order, each as soon as a thread is free.
struct Hasher {
    pool: CodecPool,
    state: State,
    waiting: Vec<Bytes>,
    bytes: usize,
}

enum State {
    Idle(Box<Digester>),
    Busy(Job<Box<Digester>>),
    Done,
}

impl Hasher {
    fn push(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        self.waiting.push(piece.clone());
    }

    /// Starts the next job if none runs and `least` bytes wait.
    fn start(&mut self, least: usize) {
        if self.waiting.is_empty() || self.bytes < least {
            return;
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Idle(mut digester) => {
                let pieces = std::mem::take(&mut self.waiting);
                self.bytes = 0;
                self.state = State::Busy(self.pool.run(move || {
                    pieces.iter().for_each(|piece| digester.update(piece));
                    digester
                }));
            }
            other => self.state = other,
        }
    }

    /// Ready when no job runs.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let State::Busy(job) = &mut self.state {
            let digester = ready!(Pin::new(job).poll(cx))?;
            self.state = State::Idle(digester);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when another piece may be pushed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Poll::Ready(done) = self.poll_job(cx) {
                done?;
                self.start(BATCH);
            }
            if self.bytes < BACKLOG {
                return Poll::Ready(Ok(()));
            }
            if matches!(self.state, State::Busy(_)) {
                ready!(self.poll_job(cx))?;
            }
        }
    }

    /// Ready with the digest of everything; `None` if it was asked for before.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Digest>>> {
        loop {
            ready!(self.poll_job(cx))?;
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(match std::mem::replace(&mut self.state, State::Done) {
                    State::Idle(digester) => Some(digester.finish()),
                    _ => None,
                }));
            }
            self.start(0);
        }
    }
}

/// The digest and size of what was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Passes a stream on and hashes it on the pool; at its end, `check` may fail it.
///
/// The stream does no hashing itself, so that its reader can do the next step at the same time. The end of the stream
/// waits for the digest.
pub(crate) fn hashed(
    inner: BlobStream,
    digester: Digester,
    pool: &CodecPool,
    check: impl FnOnce(Hashed) -> Result<()> + Send + 'static,
) -> BlobStream {
    let hasher = Hasher { pool: pool.clone(), state: State::Idle(Box::new(digester)), waiting: Vec::new(), bytes: 0 };
    Box::pin(Hashing { inner: Some(inner), hasher, size: 0, check: Some(Box::new(check)) })
}

/// Passes on a stream with a known digest, and counts its bytes; at its end, `check` may fail it.
pub(crate) fn counted(
    inner: BlobStream,
    digest: Digest,
    check: impl FnOnce(Hashed) -> Result<()> + Send + 'static,
) -> BlobStream {
    Box::pin(stream::try_unfold((inner, 0_u64, check), move |(mut inner, size, check)| async move {
        match inner.try_next().await? {
            Some(piece) => {
                let size = size.saturating_add(piece.len() as u64);
                Ok(Some((piece, (inner, size, check))))
            }
            None => check(Hashed { digest, size }).map(|()| None),
        }
    }))
}

type Check = Box<dyn FnOnce(Hashed) -> Result<()> + Send>;

struct Hashing {
    /// `None` once it has ended.
    inner: Option<BlobStream>,
    hasher: Hasher,
    size: u64,
    /// `None` once the whole stream has ended.
    check: Option<Check>,
}

impl Hashing {
    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes>>> {
        self.inner = None;
        self.check = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.check.is_none() {
            return Poll::Ready(None);
        }
        let found = ready!(self.hasher.poll_finish(cx));
        let checked = found.and_then(|digest| match (digest, self.check.take()) {
            (Some(digest), Some(check)) => check(Hashed { digest, size: self.size }),
            _ => Ok(()),
        });
        match checked {
            Ok(()) => Poll::Ready(None),
            Err(error) => self.fail(error),
        }
    }
}

impl Stream for Hashing {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.inner.is_some()
            && let Err(error) = ready!(self.hasher.poll_ready(cx))
        {
            return self.fail(error);
        }
        let Some(inner) = &mut self.inner else { return self.poll_end(cx) };
        match ready!(inner.poll_next_unpin(cx)) {
            Some(Ok(piece)) => {
                self.size = self.size.saturating_add(piece.len() as u64);
                self.hasher.push(&piece);
                self.hasher.start(BATCH);
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => self.fail(error),
            None => {
                self.inner = None;
                self.poll_end(cx)
            }
        }
    }
}
