//! What goes to stdout: a table, a JSON document, or digests alone.

use std::io::{self, BufWriter, ErrorKind, Write};

use cache_core::{Digest, Timestamp};
use serde::Serialize;
use serde_json::Serializer;

use crate::args::OutputForm;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::text::printable;
use crate::visible::Visible;

/// The outcome of a verb: a JSON document that can also be shown as text.
pub(crate) trait Report: Serialize {
    /// The report as text. Ages are counted from `now`; `all` shows everything that is otherwise shortened.
    fn table(&self, now: Timestamp, all: bool) -> String;

    /// The digests of its caches.
    fn digests(&self) -> Vec<Digest>;

    /// What `--quiet` prints, one in each line: digests, or names for a verb that lists caches by name.
    fn identifiers(&self) -> Vec<String> {
        self.digests().iter().map(ToString::to_string).collect()
    }
}

/// Prints a report in the chosen format.
pub(crate) fn print(session: &Session, report: &impl Report) -> Result<(), Failure> {
    let globals = &session.globals;
    let text = match &globals.output {
        _ if globals.quiet => report.identifiers().iter().map(|name| printable(name) + "\n").collect(),
        Some(OutputForm::Json) => return print_json(report),
        Some(OutputForm::Table | OutputForm::Dot | OutputForm::File(_)) | None => {
            report.table(Timestamp::now(), globals.is_verbose())
        }
    };
    write(text.as_bytes())
}

/// Prints an indented JSON document while it is encoded, since it may be larger than memory.
fn print_json(report: &impl Serialize) -> Result<(), Failure> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let encoded = encode(report, &mut stdout).map_err(|error| match error.io_error_kind() {
        Some(kind) => io::Error::from(kind),
        None => io::Error::other(error),
    });
    done(encoded.and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()))
}

/// The text that [`print_json`] prints.
pub(crate) fn json(report: &impl Serialize) -> Result<String, Failure> {
    let mut text = Vec::new();
    let encoded = encode(report, &mut text).map(|()| String::from_utf8_lossy(&text).into_owned());
    let text = encoded.map_err(|error| Failure::new(Exit::Failed, format!("cannot encode as JSON: {error}")))?;
    Ok(text + "\n")
}

fn encode(report: &impl Serialize, out: &mut impl Write) -> serde_json::Result<()> {
    report.serialize(&mut Serializer::with_formatter(out, Visible::default()))
}

/// Writes to stdout. A closed pipe (`buildcache … | head`) is not a failure.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    done(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn done(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_invisible;

    #[test]
    fn json_is_escaped_for_terminals_and_decodes_to_the_same() {
        let names = ["main\u{202e}txt", "\u{1b}[31m", "\u{9b}31m", "é عربي"];
        let text = json(&names).unwrap();
        assert!(!text.chars().any(|c| is_invisible(c) || (c.is_control() && c != '\n')), "{text:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), names);
    }
}
