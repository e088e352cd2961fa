//! [`Endpoint`]: the URL of a store; secrets in it are never shown.

use std::fmt;

use cache_core::{ErrorKind, Result};

use crate::error;

/// The URL of a store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses an invalid URL of a store, and one with a name, a password or a token, which would be sent with every
    /// request and sign none.
    pub(crate) fn check(&self, attribute: &'static str) -> Result<()> {
        let wrong = |message: &str| Err(error::new(ErrorKind::InvalidSpec, message).with("attribute", attribute));
        let Some((scheme, authority, rest)) = self.parts() else {
            return wrong("the endpoint has to start with https:// or http:// and name a host");
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || host.is_empty() {
            return wrong("the endpoint has to start with https:// or http:// and name a host");
        }
        if authority.contains('@') {
            return wrong("the endpoint takes no user and password: give access_key_id and secret_access_key");
        }
        if rest.contains(['?', '#']) { wrong("the endpoint takes no query and no fragment") } else { Ok(()) }
    }

    /// Scheme, authority, and the rest.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let (scheme, rest) = self.0.split_once("://")?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        Some((scheme, authority, rest))
    }
}

/// Without user, password, query and fragment.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, authority, rest)) = self.parts() else { return f.write_str("REDACTED") };
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{scheme}://{host}{path}")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_url_is_refused_and_never_shown() {
        let secret = [
            "http://user:hush@h:9000",
            "https://hush@h/p?x=1",
            "https://h/?X-Amz-Signature=hush",
            "http://h#hush",
            "hush",
            "//hush@h",
            "http://@",
            "ftp://u:hush@h",
        ];
        for url in secret {
            let endpoint = Endpoint::new(url);
            let error = endpoint.check("endpoint_url").unwrap_err();
            assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("endpoint_url")));
            let shown = format!("{endpoint} {endpoint:?} {error} {error:?}");
            assert!(!shown.contains("hush"), "{shown}");
        }
        for url in ["http://127.0.0.1:9000", "https://s3.example.com/base/", "http://[::1]:9000"] {
            Endpoint::new(url).check("endpoint_url").unwrap();
            assert_eq!(Endpoint::new(url).to_string(), url);
        }
    }
}
