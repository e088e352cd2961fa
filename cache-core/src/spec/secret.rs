//! Secrets in specs: given as they are, or as the place they are kept in, so that no command line shows them.

use std::fmt;
use std::path::PathBuf;

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
/// `cache_kit::read_secret` reads it.
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

#[cfg(test)]
mod tests {
    use super::*;

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
