//! [`Credential`]: an account's credential, and its headers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

/// A credential for a registry; its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// No credential: anonymous access.
    Anonymous,
    /// A name with a password or access token.
    Password {
        /// The account's name.
        username: String,
        /// Its password.
        password: String,
    },
    /// A refresh token that a token server exchanges (`identitytoken` in `config.json`).
    IdentityToken(String),
    /// A token that is sent to the registry as it is (`registrytoken` in `config.json`).
    RegistryToken(String),
}

impl Credential {
    /// A name with a password or access token.
    #[must_use]
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { username: username.into(), password: password.into() }
    }

    /// The answer to a basic challenge.
    pub(super) fn basic_header(&self) -> Option<HeaderValue> {
        let Self::Password { username, password } = self else { return None };
        secret_header(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
    }

    /// The answer to a bearer challenge that needs no exchange.
    pub(super) fn bearer_header(&self) -> Option<HeaderValue> {
        let Self::RegistryToken(token) = self else { return None };
        secret_header(&format!("Bearer {token}"))
    }
}

/// A header that `Debug` does not show; `None` for a text that cannot be one.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password { .. } => "Password(REDACTED)",
            Self::IdentityToken(_) => "IdentityToken(REDACTED)",
            Self::RegistryToken(_) => "RegistryToken(REDACTED)",
        })
    }
}
