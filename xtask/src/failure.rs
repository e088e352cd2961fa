//! Why a task stopped, and the exit status that tells the shell so.

use std::fmt;
use std::io;
use std::path::Path;

/// The exit status of a wrong command line.
pub(crate) const USAGE: u8 = 2;

/// A message for a person and a status for the shell.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: USAGE }
    }

    /// An operating system error, with what was being done to which path.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {action} {}: {error}", path.display()))
    }

    /// The same failure with another exit status; a status no shell can tell from success becomes 1.
    #[must_use]
    pub(crate) fn with_status(self, status: Option<i32>) -> Self {
        let status = status.and_then(|status| u8::try_from(status).ok()).filter(|status| *status != 0);
        Self { status: status.unwrap_or(1), ..self }
    }

    /// The same failure, told by the step it happened in.
    #[must_use]
    pub(crate) fn within(self, step: &str) -> Self {
        Self { message: format!("{step}: {}", self.message), ..self }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
