//! [`Login`]: a credential and its source, which errors name.

use std::fmt;
use std::path::PathBuf;

use cache_core::{Error, ErrorKind};
use cache_kit::Secret;

use super::Credential;

/// A source of logins, as Docker and Podman write them.
#[derive(Debug, Clone)]
pub(crate) enum AuthSource {
    /// A file; one that does not exist holds none.
    File(PathBuf),
    /// The text of an environment variable.
    Variable(&'static str, Secret),
}

impl fmt::Display for AuthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name, _) => write!(f, "${name}"),
        }
    }
}

/// The login for a registry.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) credential: Credential,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    /// It was set by the program.
    Program,
    /// A source holds it, or names the helper that does.
    Found { source: String, helper: Option<String> },
    /// No source has a login.
    Nowhere { looked: Vec<String>, missing: Vec<MissingHelper> },
}

/// A helper that a source names and that is not installed.
#[derive(Debug, Clone)]
pub(super) struct MissingHelper {
    pub(super) helper: String,
    pub(super) source: String,
}

impl Login {
    pub(super) fn given(credential: &Credential) -> Self {
        Self { credential: credential.clone(), origin: Origin::Program }
    }

    pub(super) fn found(credential: Credential, source: &AuthSource, helper: Option<String>) -> Self {
        Self { credential, origin: Origin::Found { source: source.to_string(), helper } }
    }

    pub(super) fn none(sources: &[AuthSource], missing: Vec<MissingHelper>) -> Self {
        let looked = sources.iter().map(ToString::to_string).collect();
        Self { credential: Credential::Anonymous, origin: Origin::Nowhere { looked, missing } }
    }

    /// The source of the login; `None` without one.
    pub(crate) fn place(&self) -> Option<String> {
        match &self.origin {
            Origin::Found { source, helper: Some(helper) } => Some(format!("{helper}, named by {source}")),
            Origin::Found { source, helper: None } => Some(source.clone()),
            Origin::Program | Origin::Nowhere { .. } => None,
        }
    }

    /// Adds to an error which login `registry` has refused, and what to do about it.
    pub(super) fn explain(&self, error: Error, registry: &str) -> Error {
        match &self.origin {
            Origin::Program => error.with("login", "the given one"),
            Origin::Found { .. } => {
                let login = self.place().unwrap_or_default();
                let hint = match error.kind() {
                    ErrorKind::Unauthenticated => {
                        let other = log_in(registry);
                        format!("the login in {login} is not accepted; {other} makes another one")
                    }
                    _ => format!("the account in {login} may not do this"),
                };
                error.with("login", login).with_hint(hint)
            }
            Origin::Nowhere { missing, looked } => match missing.first() {
                Some(MissingHelper { helper, source }) => {
                    let error = error.with("login", format!("none: {helper}, named by {source}, is not installed"));
                    error.with_hint(format!("install {helper}, or remove it from {source} and {}", log_in(registry)))
                }
                None => {
                    let places = if looked.is_empty() { "any file".to_owned() } else { looked.join(", ") };
                    let error = error.with("login", format!("none in {places}"));
                    error.with_hint(format!("log in to the registry with {}", log_in(registry)))
                }
            },
        }
    }
}

/// The commands that make a login.
fn log_in(registry: &str) -> String {
    format!("`docker login {registry}` or `buildcache login {registry}`")
}
