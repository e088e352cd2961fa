//! Exit codes, and failures with their exit codes.

use std::error::Error as _;
use std::process::ExitCode;

use cache_core::{CacheSpec, Error, ErrorKind, Side};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, nothing wrong.
    Done,
    /// Failed.
    Failed,
    /// A bad flag or a bad spec.
    Usage,
    /// The work was done and found something wrong.
    Findings,
    /// The source has no cache.
    NoCache,
    /// Not authenticated, or not allowed.
    Denied,
    /// Another writer was first, and merging was not asked for.
    Conflict,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub(crate) const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Findings,
        Self::NoCache,
        Self::Denied,
        Self::Conflict,
        Self::Interrupted,
    ];

    /// Its meaning, for the manual and the help.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, nothing wrong",
            Self::Failed => "failed",
            Self::Usage => "usage: a bad flag or a bad spec",
            Self::Findings => "findings: verify found an error, diff a difference",
            Self::NoCache => "the source has no cache",
            Self::Denied => "not authenticated, or not allowed",
            Self::Conflict => "somebody else wrote first",
            Self::Interrupted => "interrupted by a signal",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Findings => 3,
            Self::NoCache => 4,
            Self::Denied => 5,
            Self::Conflict => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSpec => Self::Usage,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::Conflict => Self::Conflict,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The failure of a verb: its message and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// An invalid command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// There is no cache at the source.
    pub(crate) fn no_cache(spec: &CacheSpec, side: Option<Side>) -> Self {
        let side = side.map(|side| format!("{side}: ")).unwrap_or_default();
        Self::new(Exit::NoCache, format!("{side}no cache at {spec}"))
    }

    /// Sets the side of a copy.
    pub(crate) fn on(self, side: Side) -> Self {
        Self { message: format!("{side}: {}", self.message), ..self }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { exit: error.kind().into(), message: with_causes(&error), hint: error.hint().map(str::to_owned) }
    }
}

/// The error and its causes on one line. A cause that the error quotes already is left out.
pub(crate) fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_the_documented_exit_code() {
        let cases = [
            (ErrorKind::InvalidSpec, 2),
            (ErrorKind::Unauthenticated, 5),
            (ErrorKind::PermissionDenied, 5),
            (ErrorKind::Conflict, 6),
            (ErrorKind::NotFound, 1),
            (ErrorKind::RateLimited, 1),
            (ErrorKind::Unavailable, 1),
            (ErrorKind::DigestMismatch, 1),
            (ErrorKind::InvalidManifest, 1),
            (ErrorKind::LimitExceeded, 1),
            (ErrorKind::Storage, 1),
            (ErrorKind::Archived, 1),
            (ErrorKind::Unsupported, 1),
            (ErrorKind::InUse, 1),
        ];
        for (kind, code) in cases {
            assert_eq!(Exit::from(kind).code(), code, "{kind:?}");
        }
    }

    #[test]
    fn causes_are_named_once() {
        let error = Error::new(ErrorKind::Storage, "write failed").with("at", "disk full");
        let quoted = error.with_source(std::io::Error::other("disk full"));
        assert_eq!(Failure::from(quoted).message, "write failed (at=disk full)");
        let error = Error::new(ErrorKind::Storage, "write failed").with_source(std::io::Error::other("disk full"));
        assert_eq!(Failure::from(error).message, "write failed: disk full");
    }

    #[test]
    fn a_hint_is_kept() {
        let error = Error::new(ErrorKind::NotFound, "blob is gone").with_hint("run repair");
        assert_eq!(Failure::from(error).hint.as_deref(), Some("run repair"));
    }
}
