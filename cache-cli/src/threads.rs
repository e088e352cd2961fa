//! The threads of the program: a process that may not start them says so, where the runtime would panic or wait for ever.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// What to do about it.
pub(crate) const HINT: &str = "let this user, or this container, have more processes (ulimit -u, pids limit)";

/// Long enough: the first thread for calls that block stays, so that there is always one.
const KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// As many threads as there are cores, the main thread being one of them, which runs the verb; and one that may block. Where
/// fewer may be started, the fewest that do.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let wanted = cores.saturating_sub(1).max(1);
    let workers = if try_threads(wanted + 1, spawn).is_ok() { wanted } else { 1 };
    try_threads(workers + 1, spawn)?;
    let runtime = Builder::new_multi_thread().worker_threads(workers).thread_keep_alive(KEPT).enable_all().build()?;
    runtime.block_on(runtime.spawn_blocking(|| ())).map_err(io::Error::other)?;
    Ok(runtime)
}

fn spawn(job: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(job)
}

/// Starts this many threads at once, and ends them.
fn try_threads(count: usize, spawn: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>) -> io::Result<()> {
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let wait = || {
        let held = Arc::clone(&held);
        // It ends with an error as soon as the other end is dropped.
        Box::new(move || drop(held.lock().map(|held| held.recv())))
    };
    let threads: Vec<io::Result<JoinHandle<()>>> = (0..count).map(|_| spawn(wait())).collect();
    drop(hold);
    threads.into_iter().try_for_each(|thread| thread?.join().map_err(|_| io::Error::other("a thread panicked")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn threads_that_may_not_be_started_are_an_error_and_the_others_end() {
        let started = AtomicUsize::new(0);
        let three = |job| match started.fetch_add(1, Ordering::Relaxed) {
            0..3 => spawn(job),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        assert_eq!(try_threads(5, three).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(try_threads(5, spawn).is_ok());
    }
}
