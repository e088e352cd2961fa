//! The one error type: a kind to match on, context to read, a source to trace.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed: what failed, on what, whose side it was, and what to do about it.
///
/// Absence is never an error where it is an expected answer: [`CacheImporter::resolve`](crate::CacheImporter::resolve)
/// and [`BlobProvider::stat`](crate::BlobProvider::stat) answer `None`. No error holds a secret.
///
/// ```
/// use cache_core::{Error, ErrorKind, Side};
///
/// let error = Error::new(ErrorKind::NotFound, "blob is gone").with("blob", "sha256:…").on(Side::Source);
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "source: blob is gone (blob=sha256:…)");
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    side: Option<Side>,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    retryable: bool,
    facts: Facts,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The facts on which a program acts.
#[derive(Clone, Default)]
struct Facts {
    retry_after: Option<Duration>,
    status: Option<u16>,
    code: Option<String>,
    tries: Option<u32>,
    silent_for: Option<Duration>,
    unknown_attribute: Option<String>,
    blob: Option<(String, u64)>,
    holds_image: bool,
}

/// What kind of failure it was, for a caller to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A blob or manifest that has to be there is not.
    NotFound,
    /// The credentials are missing or invalid.
    Unauthenticated,
    /// The server or the file system denies access.
    PermissionDenied,
    /// Another writer has committed first.
    Conflict,
    /// The server asks to slow down.
    RateLimited,
    /// The server or the connection failed; trying again may help.
    Unavailable,
    /// The bytes do not match their descriptor.
    DigestMismatch,
    /// The manifest or the cache config cannot be what BuildKit wrote.
    InvalidManifest,
    /// The spec names an unknown type, or an attribute is wrong.
    InvalidSpec,
    /// A bound was reached: a document too large, a wait too long.
    LimitExceeded,
    /// The file system failed: no space left, an I/O error.
    Storage,
    /// The bytes are in an archive tier and have to be restored before they can be read.
    Archived,
    /// The place can neither store nor return the blob: another writer reserved its key and never finished. An export
    /// leaves out the results that need it.
    Locked,
    /// The backend cannot do this.
    Unsupported,
    /// What was to be deleted is in use under another name.
    InUse,
}

/// Which end of a copy failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The cache that is read.
    Source,
    /// The place that is written.
    Destination,
}

impl Error {
    /// Makes an error; `message` says what failed, in lower case and without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            side: None,
            context: Vec::new(),
            hint: None,
            retryable,
            facts: Facts::default(),
            source: None,
        }))
    }

    /// The server has said nothing for `waited`, and the error shows how long that is.
    #[must_use]
    pub fn silence(message: impl Into<String>, waited: Duration) -> Self {
        let mut error = Self::new(ErrorKind::Unavailable, message);
        error.0.facts.silent_for = Some(waited);
        error.with("cause", format_args!("nothing has moved for {} s", waited.as_secs_f32()))
    }

    /// How long the server said nothing, if that is what failed: trying again takes as long as the first try did.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        self.0.facts.silent_for
    }

    /// Adds a named fact to show: the backend, the digest, the key. The first fact of a name stays.
    ///
    /// Facts are for people. What a program acts on has a method of its own: [`status`](Self::status),
    /// [`code`](Self::code), [`tries`](Self::tries), [`blob`](Self::blob), [`holds_image`](Self::holds_image),
    /// [`unknown_attribute`](Self::unknown_attribute).
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        if self.context(name).is_none() {
            self.0.context.push((name, value.to_string()));
        }
        self
    }

    /// Sets which side of a copy failed, unless it is set.
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.0.side.get_or_insert(side);
        self
    }

    /// Adds what a person can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// Sets the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// Sets whether a retry may help.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Sets how long the server asked to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.facts.retry_after = Some(wait);
        self
    }

    /// Sets the HTTP status that the server answered with, and shows it.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.facts.status.get_or_insert(status);
        self.with("status", status)
    }

    /// Sets the server's own error code (`NoSuchKey`), and shows it.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.0.facts.code.get_or_insert_with(|| code.to_owned());
        self.with("code", code)
    }

    /// Sets how often the call was made, and shows it.
    #[must_use]
    pub fn with_tries(mut self, tries: u32) -> Self {
        self.0.facts.tries.get_or_insert(tries);
        self.with("tries", tries)
    }

    /// Sets the unknown attribute of a spec, and shows it in the message.
    #[must_use]
    pub fn with_unknown_attribute(mut self, name: &str) -> Self {
        self.0.facts.unknown_attribute.get_or_insert_with(|| name.to_owned());
        self.with("unknown", name)
    }

    /// Sets the blob that was read, and the size that its descriptor says, and shows both.
    #[must_use]
    pub fn with_blob(mut self, digest: impl fmt::Display, size: u64) -> Self {
        self.0.facts.blob.get_or_insert_with(|| (digest.to_string(), size));
        self.with("blob", digest).with("size", size)
    }

    /// Says that the place holds an image, which a cache would replace, and shows it.
    #[must_use]
    pub fn with_image(mut self) -> Self {
        self.0.facts.holds_image = true;
        self.with("holds", "image")
    }

    /// The kind to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Which end of a copy failed, when it is known.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        self.0.side
    }

    /// The fact that was added under `name`, to be shown.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The HTTP status that the server answered with.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.facts.status
    }

    /// The server's own error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.facts.code.as_deref()
    }

    /// How often the call was made, if more than once.
    #[must_use]
    pub fn tries(&self) -> Option<u32> {
        self.0.facts.tries
    }

    /// The unknown attribute of a spec.
    #[must_use]
    pub fn unknown_attribute(&self) -> Option<&str> {
        self.0.facts.unknown_attribute.as_deref()
    }

    /// The digest of the blob that was read, and the size that its descriptor says, if it was too large or not whole.
    #[must_use]
    pub fn blob(&self) -> Option<(&str, u64)> {
        self.0.facts.blob.as_ref().map(|(digest, size)| (digest.as_str(), *size))
    }

    /// Whether the place holds an image, which a cache would replace.
    #[must_use]
    pub fn holds_image(&self) -> bool {
        self.0.facts.holds_image
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed when it is made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long the server asked to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.facts.retry_after
    }

    /// Maps a file system error; absence and refusal keep their own kinds.
    #[must_use]
    pub fn from_io(error: std::io::Error, message: impl Into<String>) -> Self {
        use std::io::ErrorKind as Io;
        let (kind, hint) = match error.kind() {
            Io::NotFound => (ErrorKind::NotFound, None),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => (ErrorKind::PermissionDenied, None),
            Io::StorageFull | Io::QuotaExceeded => (ErrorKind::Storage, Some("free space there, then try again")),
            Io::FileTooLarge => (ErrorKind::Storage, Some("raise the limit on the size of a file (ulimit -f)")),
            _ => (ErrorKind::Storage, None),
        };
        let made = Self::new(kind, message).with_source(error);
        match hint {
            Some(hint) => made.with_hint(hint),
            None => made,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(side) = self.0.side {
            write!(f, "{side}: ")?;
        }
        f.write_str(&self.0.message)?;
        for (n, (name, value)) in self.0.context.iter().enumerate() {
            let open = if n == 0 { " (" } else { ", " };
            write!(f, "{open}{name}={value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_first_fact_of_a_name_and_the_first_side_stay() {
        let error = Error::new(ErrorKind::Storage, "write failed")
            .with("blob", 1)
            .with("blob", 2)
            .on(Side::Destination)
            .on(Side::Source);
        assert_eq!(error.to_string(), "destination: write failed (blob=1)");
    }

    #[test]
    fn facts_for_programs_are_separate_from_shown_ones() {
        let error = Error::new(ErrorKind::Unavailable, "ended early").with("blob", "shown").with_blob("sha256:00", 7);
        assert_eq!((error.blob(), error.context("blob")), (Some(("sha256:00", 7)), Some("shown")));
        assert!(!error.holds_image() && error.with_image().holds_image());
    }

    #[test]
    fn a_full_disk_has_a_hint() {
        let error = Error::from_io(std::io::ErrorKind::StorageFull.into(), "cannot write the blob");
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert_eq!(error.hint(), Some("free space there, then try again"));
    }
}
