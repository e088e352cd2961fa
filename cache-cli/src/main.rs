//! `buildcache`: flags, glue and reports over the crates of this workspace.
//!
//! This file runs one verb: it starts the runtime, handles signals and the timeout, and turns the outcome into an exit
//! code.

mod args;
mod argument;
mod backends;
mod confirm;
mod exit;
mod logins;
mod messages;
mod named;
mod naming;
mod output;
mod plugin;
mod progress;
mod report;
mod requests;
mod session;
mod signals;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod trust;
mod unreadable;
mod usage;
mod verbs;
mod visible;

use std::process::ExitCode;
use std::time::Duration;

use cache_kit::Uploads;
use tokio::runtime::Runtime;

use crate::args::{Cli, Verb};
use crate::exit::{Exit, Failure};
use crate::plugin::Call;
use crate::session::Session;
use crate::signals::Interrupt;

/// How long calls into the file system may still run after the verb has ended.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long uploads under way may still run after the verb has ended.
const LAST_UPLOADS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let line = match plugin::call(std::env::args_os()) {
        Call::Metadata(json) => return written(output::write(json.as_bytes())),
        Call::Verb(line) => line,
    };
    let cli = usage::parse(line);
    requests::show(cli.globals.logs_requests());
    let runtime = match threads::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Failed, format!("cannot start: {error}"));
            messages::failure(&failure.with_hint(threads::HINT));
            return Exit::Failed.into();
        }
    };
    survive_large_files(&runtime);
    let exit = runtime.block_on(async {
        match signals::listen() {
            Ok(interrupt) => run(cli, &interrupt).await,
            Err(error) => {
                messages::failure(&Failure::new(Exit::Failed, format!("cannot listen to signals: {error}")));
                Exit::Failed
            }
        }
    });
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

/// Makes a file that exceeds the size limit of the process (`ulimit -f`) an error, instead of the end of the process.
#[cfg(unix)]
fn survive_large_files(runtime: &Runtime) {
    /// `SIGXFSZ`, on Linux and macOS.
    const FILE_TOO_LARGE: i32 = 25;
    let _runtime = runtime.enter();
    // The signal does not end a process that has a handler. If none can be installed, the default stays.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_TOO_LARGE)));
}

#[cfg(not(unix))]
fn survive_large_files(_: &Runtime) {}

async fn run(cli: Cli, interrupt: &Interrupt) -> Exit {
    let uploads = Uploads::new();
    let authfile = cli.globals.authfile.clone();
    let session = Session::new(|listener| backends::backends(&uploads, listener, authfile.as_deref()), cli.globals);
    let outcome = tokio::select! {
        biased;
        () = interrupt.heard() => Err(Interrupt::failure()),
        outcome = in_time(&session, checked(&session, cli.verb)) => outcome,
        never = session.reporter.keep_telling() => match never {},
    };
    settle(&session, &uploads).await;
    session.reporter.finish();
    outcome.unwrap_or_else(|failure| {
        session.fail(&failure);
        failure.exit
    })
}

async fn checked(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    trust::check()?;
    verbs::run(session, verb).await
}

/// Lets uploads under way finish: the service keeps their keys reserved even if they break off.
async fn settle(session: &Session, uploads: &Uploads) {
    let (begun, limit) = (uploads.count(), LAST_UPLOADS.as_secs());
    if begun == 0 {
        return;
    }
    let begun = text::count(begun, "upload");
    session.warn(format!("{begun} under way: finished first, within {limit} s; a second signal ends at once"));
    if tokio::time::timeout(LAST_UPLOADS, uploads.settled()).await.is_err() {
        let left = text::count(uploads.count(), "upload");
        session.warn(format!("{left} not finished after {limit} s: the keys stay reserved"));
    }
}

/// Drops the verb when its time is up, and names the last call that failed and was repeated.
async fn in_time(session: &Session, verb: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let Some(limit) = session.globals.timeout else { return verb.await };
    tokio::time::timeout(limit, verb).await.unwrap_or_else(|_| {
        let failed = session.reporter.last_failure().map(|error| format!("; what failed last: {error}"));
        let message = format!("not done after {}{}", text::elapsed(limit), failed.unwrap_or_default());
        Err(Failure::new(Exit::Failed, message).with_hint("--timeout takes more time, like 30m or 1h"))
    })
}
