//! [`Failure`]: why a task failed, with its exit status.

use std::fmt;
use std::io;
use std::path::Path;

/// The exit status of a wrong command line.
pub(crate) const USAGE: u8 = 2;

/// A message and an exit status.
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

    /// An error of the operating system, with the action and the path.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {action} {}: {error}", path.display()))
    }

    /// Sets the exit status. One that a shell would take for success becomes 1.
    #[must_use]
    pub(crate) fn with_status(self, status: Option<i32>) -> Self {
        let status = status.and_then(|status| u8::try_from(status).ok()).filter(|status| *status != 0);
        Self { status: status.unwrap_or(1), ..self }
    }

    /// Puts the name of the step in front of the message.
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
