//! Signals that end the program: Ctrl-C, SIGTERM and SIGHUP, all handled in one way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::exit::{Exit, Failure};
use crate::messages;

/// How long the process may go on after a signal while the verb is in a call that cannot be dropped, such as a blocking
/// read from a pipe.
const DEAF: Duration = Duration::from_secs(3);

/// The first signal, as the verb sees it.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    first: Notify,
    is_heard: AtomicBool,
}

impl Interrupt {
    /// Waits for the first signal.
    pub(crate) async fn heard(&self) {
        self.first.notified().await;
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Returns once the verb has not reacted for [`DEAF`]; never if it has.
    async fn unheard(&self) {
        tokio::time::sleep(DEAF).await;
        if self.is_heard.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        messages::failure(&Self::failure());
    }

    pub(crate) fn failure() -> Failure {
        Failure::new(Exit::Interrupted, "interrupted")
    }
}

/// Passes the first signal on, so that the verb is dropped at its next `.await`. The process ends at the second signal,
/// or if the verb has not reacted within [`DEAF`].
///
/// Installs the handlers, which needs a runtime.
pub(crate) fn listen() -> io::Result<Arc<Interrupt>> {
    let mut signals = Signals::catch()?;
    let interrupt = Arc::new(Interrupt::default());
    let told = Arc::clone(&interrupt);
    tokio::spawn(async move {
        signals.next().await;
        told.first.notify_one();
        tokio::select! {
            () = signals.next() => {}
            () = told.unheard() => {}
        }
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    Ok(interrupt)
}

#[cfg(unix)]
use self::unix::Signals;

#[cfg(unix)]
mod unix {
    use std::{fs, io};

    use futures_util::future::{FutureExt, select_all};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The signals that are caught.
    pub(super) struct Signals(Vec<Signal>);

    impl Signals {
        pub(super) fn catch() -> io::Result<Self> {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            let caught = kinds.into_iter().filter(|kind| *kind != SignalKind::hangup() || !is_ignored(*kind));
            caught.map(signal).collect::<io::Result<_>>().map(Self)
        }

        pub(super) async fn next(&mut self) {
            select_all(self.0.iter_mut().map(|signal| signal.recv().boxed())).await;
        }
    }

    /// Whether the program was started with the signal ignored, as `nohup` does with SIGHUP; `false` if that is
    /// unknown.
    fn is_ignored(kind: SignalKind) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        let bit = u32::try_from(kind.as_raw_value().saturating_sub(1)).unwrap_or(u32::MAX);
        mask.checked_shr(bit).unwrap_or(0) & 1 == 1
    }
}

#[cfg(not(unix))]
use self::other::Signals;

#[cfg(not(unix))]
mod other {
    use std::io;

    /// Ctrl-C.
    pub(super) struct Signals;

    impl Signals {
        #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
        pub(super) fn catch() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
