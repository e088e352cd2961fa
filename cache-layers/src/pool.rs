//! The threads that compress, decompress and hash.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use cache_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::DecodeLimits;

/// The threads that codecs use, and how much a layer may decompress to.
///
/// Clones share the threads, which are the blocking threads of the Tokio runtime. Compression, decompression and
/// hashing run as short jobs of about a megabyte, in the order of their requests; no job waits for input or output.
/// Outside of a runtime a job runs on the thread that starts it.
///
/// ```
/// use cache_layers::CodecPool;
/// use cache_layers::DecodeLimits;
///
/// let mut limits = DecodeLimits::default();
/// limits.max_size = 8 << 30;
/// let pool = CodecPool::new(4).with_limits(limits);
/// assert_eq!((pool.threads(), pool.limits().max_size), (4, 8 << 30));
/// ```
#[derive(Clone)]
pub struct CodecPool {
    threads: usize,
    limits: DecodeLimits,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    workers: usize,
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
}

impl CodecPool {
    /// Uses `threads` threads, at least one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), limits: DecodeLimits::default(), queue: Arc::default() }
    }

    /// Changes how much a layer may decompress to; the threads are shared with `self`.
    #[must_use]
    pub fn with_limits(self, limits: DecodeLimits) -> Self {
        Self { limits, ..self }
    }

    /// How many jobs run at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How much a layer may decompress to.
    #[must_use]
    pub fn limits(&self) -> DecodeLimits {
        self.limits
    }

    /// Starts a job, or queues it. A job whose [`Job`] is dropped before it starts is skipped.
    ///
    /// The job must not wait for anything.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        match Handle::try_current() {
            Ok(runtime) => self.start(&runtime, Box::new(job)),
            Err(_) => job(),
        }
        Job(receiver)
    }

    fn start(&self, runtime: &Handle, job: Box<dyn FnOnce() + Send>) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(job);
        if queue.workers < self.threads {
            queue.workers += 1;
            drop(queue);
            let worker = Worker { queue: Arc::clone(&self.queue), is_done: false };
            runtime.spawn_blocking(move || worker.work());
        }
    }
}

impl Default for CodecPool {
    /// As many threads as the machine runs at once, and the default limits.
    fn default() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl fmt::Debug for CodecPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecPool").field("threads", &self.threads).field("limits", &self.limits).finish()
    }
}

/// A thread that takes jobs until none is left; it counts as one for as long as it may take another.
struct Worker {
    queue: Arc<Mutex<Queue>>,
    is_done: bool,
}

impl Worker {
    fn work(mut self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// Looks for a job and retires in one step, so that no job is put in between.
    fn next(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut queue = lock(&self.queue);
        let job = queue.jobs.pop_front();
        if job.is_none() {
            queue.workers -= 1;
            self.is_done = true;
        }
        job
    }
}

impl Drop for Worker {
    /// A runtime that shuts down drops workers it has not started: jobs that can no longer run are dropped too.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.workers -= 1;
        let orphans = if queue.workers == 0 { std::mem::take(&mut queue.jobs) } else { VecDeque::new() };
        drop(queue);
        drop(orphans);
    }
}

/// A job's result, when it is there.
pub(crate) struct Job<T>(oneshot::Receiver<thread::Result<T>>);

impl<T> Future for Job<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, "the runtime is shutting down").with_retryable(false)),
        })
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
