//! What is said on stderr outside of the progress display.
//!
//! A stderr that is gone stops nothing: the exit code says the same.

use std::io::{self, Write};

use crate::exit::Failure;
use crate::text;

/// One line.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text::printable(text));
}

/// Why the verb failed, and what to do about it.
pub(crate) fn failure(failure: &Failure) {
    line(&format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        line(&format!("hint: {hint}"));
    }
}

/// Asks a question on the terminal; the answer comes on stdin.
pub(crate) fn question(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{} ", text::printable(text));
    let _ = stderr.flush();
}
