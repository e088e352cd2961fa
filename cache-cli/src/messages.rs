//! Messages on stderr outside of the progress display.
//!
//! If stderr is closed, messages are dropped; the exit code is the same. Colours are those of clap, and are left out if
//! stderr is not a terminal or `NO_COLOR` is set.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::exit::Failure;
use crate::text;
use crate::visible::shown;

/// Labels of lines that are not progress, and their styles.
const LABELS: [(&str, Style); 3] = [
    ("error:", AnsiColor::Red.on_default().bold()),
    ("warning:", AnsiColor::Yellow.on_default().bold()),
    ("hint:", AnsiColor::Green.on_default()),
];

/// Prints one line.
pub(crate) fn line(text: &str) {
    let text = text::printable(text);
    let label = LABELS.iter().find_map(|(label, style)| Some((label, style, text.strip_prefix(label)?)));
    let mut stderr = anstream::stderr().lock();
    let _ = match label {
        Some((label, style, rest)) => writeln!(stderr, "{style}{label}{style:#}{rest}"),
        None => writeln!(stderr, "{text}"),
    };
}

/// Prints why the verb failed, and what to do about it.
pub(crate) fn failure(failure: &Failure) {
    line(&format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        line(&format!("hint: {hint}"));
    }
}

/// `buildcache.error/v1`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureDocument<'a> {
    /// What this document is.
    schema: &'static str,
    /// What failed.
    error: &'a str,
    /// What to do about it.
    hint: Option<&'a str>,
    /// How the program ends because of it.
    exit_code: u8,
}

/// Prints the same as one line of JSON, for `-o json`.
pub(crate) fn failure_as_json(failure: &Failure) {
    let (error, hint) = (failure.message.as_str(), failure.hint.as_deref());
    let document = FailureDocument { schema: "buildcache.error/v1", error, hint, exit_code: failure.exit.code() };
    if let Ok(text) = serde_json::to_string(&document) {
        let _ = writeln!(anstream::stderr().lock(), "{}", shown(&text));
    }
}

/// Asks a question on the terminal; the answer comes on stdin.
pub(crate) fn question(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = write!(stderr, "{} ", text::printable(text));
    let _ = stderr.flush();
}
