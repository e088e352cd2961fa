//! What goes to stdout: a table, a JSON document, or digests alone.

use std::io::{self, ErrorKind, Write};

use cache_core::{Digest, Timestamp};
use serde::Serialize;

use crate::args::OutputForm;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// What a verb found or did: a JSON document that can also be shown to people.
pub(crate) trait Report: Serialize {
    /// For people; `now` is what ages count from, and `all` asks for everything that is otherwise cut short.
    fn table(&self, now: Timestamp, all: bool) -> String;

    /// The digests that `--quiet` prints.
    fn digests(&self) -> Vec<Digest>;
}

/// Prints a report in the form that was asked for.
pub(crate) fn print(session: &Session, report: &impl Report) -> Result<(), Failure> {
    let globals = &session.globals;
    let text = match &globals.output {
        _ if globals.quiet => report.digests().iter().map(|digest| format!("{digest}\n")).collect(),
        Some(OutputForm::Json) => json(report)?,
        Some(OutputForm::Table | OutputForm::Dot | OutputForm::File(_)) | None => {
            report.table(Timestamp::now(), globals.verbose)
        }
    };
    write(text.as_bytes())
}

/// A document for programs, indented for people.
pub(crate) fn json(report: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Failed, format!("cannot encode as JSON: {error}")))
}

/// Writes to stdout; a reader that went away (`buildcache … | head`) is no failure.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
