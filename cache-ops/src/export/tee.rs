//! One stream for several readers, each at its own pace within bounds.
//!
//! Nothing runs in the background: whichever branch is polled and has nothing queued polls the source, as long as no
//! other branch has too much queued.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{BlobStream, Error, ErrorKind, Result, Side};
use futures_util::FutureExt;
use futures_util::stream::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many bytes may be queued for a branch before the others wait for it.
const FULL: usize = 1 << 20;

/// How long the others wait for a branch that takes nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// A stream that is read once for all of its branches.
pub(super) struct Tee {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
}

#[derive(Default)]
struct State {
    source: Option<BlobStream>,
    /// Whether no more branches are made.
    is_sealed: bool,
    /// The end of the source.
    end: Option<Option<Error>>,
    branches: Vec<Queue>,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// Since when there have been too many bytes, of which none are read.
    full_since: Option<Instant>,
    is_closed: bool,
    /// Whether the others have stopped waiting for it.
    is_cut: bool,
}

/// One reader's end.
pub(super) struct Branch {
    tee: Arc<Tee>,
    at: usize,
    is_over: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

/// What a branch gets next.
enum Turn {
    Next(Option<Result<Bytes>>),
    /// The source has no data yet.
    Wait,
    /// Another branch has too much queued; it is cut off at this time.
    Behind(Instant),
}

impl Tee {
    /// Has no source yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), wakers: Arc::default() })
    }

    /// Makes a branch that gets the whole stream; `None` when the stream may have begun.
    pub(super) fn branch(self: &Arc<Self>) -> Option<Branch> {
        let mut state = self.lock();
        if state.is_sealed {
            return None;
        }
        state.branches.push(Queue::default());
        Some(Branch { tee: Arc::clone(self), at: state.branches.len() - 1, is_over: false, patience: None })
    }

    /// Makes no more branches.
    pub(super) fn seal(&self) {
        self.lock().is_sealed = true;
    }

    /// Gives the branches something to read.
    pub(super) fn open(&self, source: BlobStream) {
        self.lock().source = Some(source);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, at: usize) -> Turn {
        let mut state = self.lock();
        if state.branches[at].is_cut {
            return Turn::Next(Some(Err(too_slow())));
        }
        if let Some(piece) = state.branches[at].take() {
            self.wakers.wake_all();
            return Turn::Next(Some(Ok(piece)));
        }
        if let Some(end) = &state.end {
            return Turn::Next(end.clone().map(Err));
        }
        if let Some(since) = state.branches.iter().filter_map(|branch| branch.full_since).min() {
            return Turn::Behind(since + PATIENCE);
        }
        self.advance(&mut state, at)
    }

    /// Reads the next piece of the source for all branches, and hands it to the branch `at`.
    fn advance(&self, state: &mut State, at: usize) -> Turn {
        let Some(source) = &mut state.source else { return Turn::Wait };
        let waker = Waker::from(Arc::clone(&self.wakers));
        let Poll::Ready(next) = source.poll_next_unpin(&mut Context::from_waker(&waker)) else { return Turn::Wait };
        match &next {
            Some(Ok(piece)) => {
                let others = state.branches.iter_mut().enumerate().filter(|(other, _)| *other != at);
                others.for_each(|(_, branch)| branch.put(piece));
            }
            Some(Err(error)) => state.end = Some(Some(error.clone())),
            None => state.end = Some(None),
        }
        self.wakers.wake_all();
        Turn::Next(next)
    }

    /// Stops waiting for branches that took nothing for too long.
    fn cut(&self) {
        let now = Instant::now();
        for branch in &mut self.lock().branches {
            if branch.full_since.is_some_and(|since| since + PATIENCE <= now) {
                branch.close();
                branch.is_cut = true;
            }
        }
        self.wakers.wake_all();
    }

    fn close(&self, at: usize) {
        let mut state = self.lock();
        state.branches[at].close();
        if state.is_sealed && state.branches.iter().all(|branch| branch.is_closed) {
            state.source = None;
        }
        drop(state);
        self.wakers.wake_all();
    }
}

impl Queue {
    fn put(&mut self, piece: &Bytes) {
        if self.is_closed {
            return;
        }
        self.bytes = self.bytes.saturating_add(piece.len());
        self.pieces.push_back(piece.clone());
        self.mark();
    }

    fn take(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        self.full_since = None;
        self.mark();
        Some(piece)
    }

    fn mark(&mut self) {
        if self.bytes >= FULL {
            self.full_since.get_or_insert_with(Instant::now);
        }
    }

    fn close(&mut self) {
        *self = Self { is_closed: true, is_cut: self.is_cut, ..Self::default() };
    }
}

impl Stream for Branch {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            // Before it looks, so that nothing that changes from here on is missed.
            self.tee.wakers.put(self.at, cx.waker());
            match self.tee.turn(self.at) {
                Turn::Next(next) => {
                    self.is_over = !matches!(next, Some(Ok(_)));
                    return Poll::Ready(next);
                }
                Turn::Wait => return Poll::Pending,
                Turn::Behind(until) => ready!(self.poll_patience(until, cx)),
            }
        }
        Poll::Ready(None)
    }
}

impl Branch {
    /// Waits until others are cut off; whatever else happens wakes the branch too.
    fn poll_patience(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.patience.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.poll_unpin(cx));
        self.patience = None;
        self.tee.cut();
        Poll::Ready(())
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.tee.close(self.at);
    }
}

/// The wakers of all branches. The source wakes all, since any branch may read next.
#[derive(Default)]
struct Wakers(Mutex<Vec<Option<Waker>>>);

impl Wakers {
    fn put(&self, at: usize, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wakers.len() <= at {
            wakers.resize(at + 1, None);
        }
        wakers[at] = Some(waker.clone());
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

fn too_slow() -> Error {
    let error = Error::new(ErrorKind::Unavailable, "the destination accepted no bytes while others waited for it");
    error.with("seconds", PATIENCE.as_secs()).on(Side::Destination)
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, TryStreamExt};

    use super::*;

    fn tee(branches: usize, pieces: Vec<Result<Bytes>>) -> Vec<Branch> {
        let tee = Tee::new();
        let made = (0..branches).map(|_| tee.branch().unwrap()).collect();
        tee.seal();
        // Every other poll is pending, and wakes whom it was polled for.
        let slow = stream::iter(pieces).then(|piece| async {
            tokio::task::yield_now().await;
            piece
        });
        tee.open(Box::pin(slow));
        made
    }

    fn pieces(count: u8) -> Vec<Result<Bytes>> {
        (0..count).map(|n| Ok(Bytes::from(vec![n; FULL / 4]))).collect()
    }

    async fn read(branch: Branch) -> Result<Vec<u8>> {
        branch.map_ok(|piece| piece[0]).try_collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn every_branch_gets_every_piece() {
        let branches = tee(3, pieces(20));
        for read in futures_util::future::join_all(branches.into_iter().map(read)).await {
            assert_eq!(read.unwrap(), (0..20).collect::<Vec<u8>>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn branches_of_different_tasks_wake_each_other() {
        let tasks: Vec<_> = tee(3, pieces(20)).into_iter().map(|branch| tokio::spawn(read(branch))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().len(), 20);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_that_is_dropped_does_not_stop_the_others() {
        let mut branches = tee(2, pieces(20));
        let mut dropped = branches.pop().unwrap();
        dropped.next().await.unwrap().unwrap();
        drop(dropped);
        assert_eq!(read(branches.pop().unwrap()).await.unwrap().len(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn no_branch_gets_far_ahead_and_a_stalled_one_is_cut_off() {
        let mut branches = tee(2, pieces(20));
        let (mut quick, mut stuck) = (branches.pop().unwrap(), branches.pop().unwrap());
        let start = Instant::now();
        for _ in 0..4 {
            quick.next().await.unwrap().unwrap();
        }
        assert!(quick.next().now_or_never().is_none(), "it does not wait");
        assert_eq!(read(quick).await.unwrap().len(), 16);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());
        let error = stuck.next().await.unwrap().unwrap_err();
        assert!(error.is_retryable() && error.side() == Some(Side::Destination), "{error:?}");
        assert!(stuck.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_that_is_merely_slow_is_waited_for() {
        let mut branches = tee(2, pieces(20));
        let (quick, slow) = (branches.pop().unwrap(), branches.pop().unwrap());
        let slow = slow.then(|piece| async {
            tokio::time::sleep(PATIENCE / 2).await;
            piece
        });
        let (quick, slow) = tokio::join!(read(quick), slow.try_collect::<Vec<_>>());
        assert_eq!((quick.unwrap().len(), slow.unwrap().len()), (20, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_source_reaches_every_branch_once() {
        let failing = [Ok(Bytes::from_static(b"a")), Err(Error::new(ErrorKind::DigestMismatch, "wrong"))];
        for mut branch in tee(2, failing.into()) {
            branch.next().await.unwrap().unwrap();
            assert_eq!(branch.next().await.unwrap().unwrap_err().kind(), ErrorKind::DigestMismatch);
            assert!(branch.next().await.is_none());
        }
    }
}
