//! `buildcache`: flags, glue and reports over the crates of this workspace.
//!
//! This file runs one verb: it starts the runtime, listens to Ctrl-C and the clock, and turns what came out into an
//! exit code.

mod args;
mod argument;
mod backends;
mod confirm;
mod exit;
mod messages;
mod named;
mod naming;
mod output;
mod plugin;
mod progress;
mod report;
mod session;
mod spec;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod unreadable;
mod usage;
mod verbs;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::plugin::Call;
use crate::session::Session;

/// How long calls into the file system that are still running may take to end after the verb did.
const LAST_CALLS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let line = match plugin::call(std::env::args_os()) {
        Call::Metadata(json) => return written(output::write(json.as_bytes())),
        Call::Verb(line) => line,
    };
    let cli = usage::parse(line);
    let runtime = match threads::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Failed, format!("cannot start: {error}"));
            messages::failure(&failure.with_hint(threads::HINT));
            return Exit::Failed.into();
        }
    };
    survive_large_files(&runtime);
    let interrupted = Arc::new(Notify::new());
    runtime.spawn(listen(Arc::clone(&interrupted)));
    let exit = runtime.block_on(run(cli, &interrupted));
    runtime.shutdown_timeout(LAST_CALLS);
    exit.into()
}

fn written(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            messages::failure(&failure);
            failure.exit.into()
        }
    }
}

/// A file that becomes larger than the process may write (`ulimit -f`) is an error like others, and not its end.
#[cfg(unix)]
fn survive_large_files(runtime: &Runtime) {
    /// `SIGXFSZ`, on Linux and macOS.
    const FILE_TOO_LARGE: i32 = 25;
    let _runtime = runtime.enter();
    // Once it is listened to, it ends no process. Where that cannot be, it does as ever.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_TOO_LARGE)));
}

#[cfg(not(unix))]
fn survive_large_files(_: &Runtime) {}

/// Passes the first Ctrl-C on, so that the verb is dropped where it waits; the second one ends the process at once.
async fn listen(interrupted: Arc<Notify>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        interrupted.notify_one();
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

async fn run(cli: Cli, interrupted: &Notify) -> Exit {
    let session = Session::new(backends::backends(), cli.globals);
    let outcome = tokio::select! {
        biased;
        () = interrupted.notified() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        outcome = in_time(session.globals.timeout, verbs::run(&session, cli.verb)) => outcome,
    };
    session.reporter.finish();
    outcome.unwrap_or_else(|failure| {
        messages::failure(&failure);
        failure.exit
    })
}

/// Drops the verb when its time is up.
async fn in_time(limit: Option<Duration>, verb: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let Some(limit) = limit else { return verb.await };
    let over = |_| Failure::new(Exit::Failed, format!("not done after {}", text::elapsed(limit)));
    let outcome = tokio::time::timeout(limit, verb).await;
    outcome.unwrap_or_else(|elapsed| Err(over(elapsed).with_hint("--timeout takes more time, like 30m or 1h")))
}
