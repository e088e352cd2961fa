//! The threads of the program. If the process may not start them, that is an error; the runtime alone would panic or
//! wait for ever.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The hint for the failure to start threads.
pub(crate) const HINT: &str = "let this user, or this container, have more processes (ulimit -u, pids limit)";

/// How long idle threads for blocking calls are kept: the first one stays for as long as the program runs.
const KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Starts the runtime with a thread for each core, counting the main thread, which runs the verb, and with one more for
/// blocking calls. If the process may not start so many, there is one worker beside the main thread.
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
        // `recv` ends as soon as the sender is dropped.
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
    fn a_thread_that_cannot_be_started_is_an_error_and_the_others_end() {
        let started = AtomicUsize::new(0);
        let three = |job| match started.fetch_add(1, Ordering::Relaxed) {
            0..3 => spawn(job),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        assert_eq!(try_threads(5, three).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(try_threads(5, spawn).is_ok());
    }
}
