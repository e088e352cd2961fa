//! Secrets in specs: given as they are, or as the place they are kept in, so that no command line shows them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cache_core::{Error, ErrorKind, Result};

use crate::read_file;

/// The longest secret that is read from a file, in bytes.
const LONGEST: u64 = 64 << 10;

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, to sign with or to send.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// Where a secret attribute's value is: `@PATH` is a file, `env:NAME` an environment variable, anything else the value.
///
/// [`read_secret`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The value itself.
    Value(Secret),
    /// The file that holds it, up to one line break at its end.
    File(PathBuf),
    /// The environment variable that holds it.
    Variable(String),
}

impl SecretSource {
    /// Parses an attribute's value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Some(path) = text.strip_prefix('@') {
            return Self::File(path.into());
        }
        match text.strip_prefix("env:") {
            Some(name) => Self::Variable(name.to_owned()),
            None => Self::Value(Secret::new(text)),
        }
    }
}

/// Reads a secret from the place in an attribute. One line break at the end of a file is dropped; `variable` looks up
/// environment variables.
///
/// # Errors
/// [`ErrorKind::InvalidSpec`] naming the attribute, when the file cannot be read or is larger than 64 KiB, and when the
/// variable is not set.
pub fn read_secret(
    source: SecretSource,
    attribute: &'static str,
    variable: impl FnOnce(&str) -> Option<String>,
) -> Result<Secret> {
    let read = match source {
        SecretSource::Value(secret) => Ok(secret),
        SecretSource::File(path) => of_file(&path),
        SecretSource::Variable(name) => variable(&name)
            .map(Secret::new)
            .ok_or_else(|| invalid("the variable that holds the secret is not set").with("variable", name)),
    };
    read.map_err(|error| error.with("attribute", attribute))
}

fn of_file(path: &Path) -> Result<Secret> {
    let text = read_file(path, LONGEST)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)));
    let text = text.map_err(|error| {
        invalid("cannot read the file that holds the secret").with("path", path.display()).with("cause", error)
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidSpec, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<Secret> {
        read_secret(SecretSource::parse(source), "token", |name| (name == "SET").then(|| "hush".to_owned()))
    }

    fn file(name: &str, content: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("buildcache-secret-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_secret_is_read_from_where_it_is_kept() {
        let path = file("line", "hush\r\n");
        for source in ["hush", "env:SET", &format!("@{}", path.display())] {
            assert_eq!(read(source).unwrap().expose(), "hush", "{source}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_that_cannot_be_read_is_a_usage_error_that_names_the_attribute() {
        let path = file("large", &"a".repeat(65 << 10));
        for source in ["env:UNSET", "@/no/such/file", &format!("@{}", path.display())] {
            let error = read(source).unwrap_err();
            assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("token")), "{source}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_secret_is_a_value_a_file_or_a_variable() {
        assert_eq!(SecretSource::parse("@/run/key"), SecretSource::File("/run/key".into()));
        assert_eq!(SecretSource::parse("env:KEY"), SecretSource::Variable("KEY".to_owned()));
        assert_eq!(SecretSource::parse("hush=="), SecretSource::Value(Secret::new("hush==")));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", SecretSource::parse("hush")), "Value(REDACTED)");
    }
}
