//! Codecs that need their input in order, run step by step on the pool.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache_core::Result;
use cache_core::seams::BlobStream;
use cache_kit::piece;
use futures_util::stream::{Stream, StreamExt};

use super::pool::{CodecPool, Job};

/// How much input a step waits for; the last one takes what there is.
const BATCH: usize = 128 << 10;
/// The most input that waits for the running step.
const BACKLOG: usize = 1 << 20;
/// The most output of one step.
pub(super) const STEP: usize = 1 << 20;

/// A codec that is fed piece by piece.
pub(super) trait Codec: Send + Unpin + 'static {
    /// Takes input from the front of `input` until it is empty or `out` is full, which has room for [`STEP`] bytes.
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()>;

    /// Whether output waits that `out` had no room for; a step without input takes it.
    fn has_more(&self) -> bool {
        false
    }

    /// Ends the output after the last step; called again for as long as it answers that there is more.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool>;
}

/// Runs a codec ahead of the reader of its output.
pub(super) fn stepped(inner: BlobStream, codec: impl Codec, pool: &CodecPool) -> BlobStream {
    let work = Work { codec, input: VecDeque::new(), is_last: false, is_done: false };
    Box::pin(Steps {
        inner: Some(inner),
        waiting: VecDeque::new(),
        bytes: 0,
        state: State::Idle(work),
        pool: pool.clone(),
    })
}

/// The state that passes from job to job.
struct Work<C> {
    codec: C,
    input: VecDeque<Bytes>,
    /// There is no more input.
    is_last: bool,
    is_done: bool,
}

impl<C: Codec> Work<C> {
    fn step(&mut self) -> Result<Bytes> {
        let mut out = Vec::with_capacity(STEP);
        while out.len() < STEP && (self.codec.has_more() || !self.input.is_empty()) {
            let mut input = self.input.pop_front().unwrap_or_default();
            self.codec.step(&mut input, &mut out)?;
            if !input.is_empty() {
                self.input.push_front(input);
            }
        }
        while self.is_last && !self.is_done && self.input.is_empty() && out.len() < STEP && !self.codec.has_more() {
            self.is_done = !self.codec.finish(&mut out)?;
        }
        Ok(piece(out))
    }

    /// Whether a step has something to do before more input comes.
    fn is_ready(&self) -> bool {
        !self.is_done && (self.is_last || self.codec.has_more() || !self.input.is_empty())
    }
}

enum State<C> {
    Idle(Work<C>),
    Busy(Job<(Work<C>, Result<Bytes>)>),
    /// At the end, or after an error.
    Ended,
}

struct Steps<C> {
    /// `None` once it has ended.
    inner: Option<BlobStream>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    state: State<C>,
    pool: CodecPool,
}

impl<C: Codec> Steps<C> {
    /// Takes input until enough waits or none is there yet.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.bytes < BACKLOG {
            let Some(inner) = &mut self.inner else { return Ok(()) };
            match inner.poll_next_unpin(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(None) => self.inner = None,
                Poll::Ready(Some(piece)) => {
                    let piece = piece?;
                    self.bytes += piece.len();
                    self.waiting.push_back(piece);
                }
            }
        }
        Ok(())
    }

    /// Starts a step if there is something to do.
    fn start(&mut self, mut work: Work<C>) {
        if work.input.is_empty() && (self.bytes >= BATCH || self.inner.is_none()) {
            work.input.extend(self.waiting.drain(..).filter(|piece| !piece.is_empty()));
            work.is_last = self.inner.is_none();
            self.bytes = 0;
        }
        self.state = if work.is_ready() {
            State::Busy(self.pool.run(move || {
                let out = work.step();
                (work, out)
            }))
        } else {
            State::Idle(work)
        };
    }

    /// Ready with the result of the running step, after the next one has started.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            self.poll_input(cx)?;
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(Ok(None)),
                State::Idle(work) if work.is_done => {}
                State::Idle(work) => {
                    self.start(work);
                    if matches!(self.state, State::Idle(_)) {
                        return Poll::Pending;
                    }
                }
                State::Busy(mut job) => {
                    let Poll::Ready(done) = Pin::new(&mut job).poll(cx) else {
                        self.state = State::Busy(job);
                        return Poll::Pending;
                    };
                    let (work, out) = done?;
                    let out = out?;
                    self.start(work);
                    if !out.is_empty() {
                        return Poll::Ready(Ok(Some(out)));
                    }
                }
            }
        }
    }
}

impl<C: Codec> Stream for Steps<C> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.poll_step(cx));
        if next.is_err() {
            self.inner = None;
            self.state = State::Ended;
        }
        Poll::Ready(next.transpose())
    }
}
