//! `buildcache.login/v1` and `buildcache.logout/v1`

use cache_core::{Digest, Timestamp};
use serde::Serialize;

use crate::logins::{ForgottenLogin, KeptLogin};
use crate::output::Report;

/// `buildcache.login/v1`: where a login is now. It holds no password.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggedIn {
    /// What this document is.
    schema: &'static str,
    /// The registry, as references name it.
    registry: String,
    /// The name of the account.
    username: String,
    /// The file that holds the login, or names the helper that does.
    file: String,
    /// The program that holds the password; `null` if that is in the file.
    helper: Option<String>,
    /// Whether the registry has asked for the login, and taken it.
    is_checked: bool,
    /// Where another login is that is found before this one.
    hidden_by: Option<String>,
}

/// `buildcache.logout/v1`: what is left of a login.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggedOut {
    /// What this document is.
    schema: &'static str,
    /// The registry, as references name it.
    registry: String,
    /// The file that held the login, or names the helper that did.
    file: String,
    /// Whether there was a login.
    was_there: bool,
    /// Where another login is, which counts now.
    left: Option<String>,
}

impl LoggedIn {
    pub(super) fn new(kept: KeptLogin, username: &str) -> Self {
        Self {
            schema: "buildcache.login/v1",
            registry: kept.registry,
            username: username.to_owned(),
            file: kept.file.display().to_string(),
            helper: kept.helper,
            is_checked: kept.is_checked,
            hidden_by: kept.hidden_by,
        }
    }
}

impl From<ForgottenLogin> for LoggedOut {
    fn from(forgotten: ForgottenLogin) -> Self {
        let ForgottenLogin { registry, file, was_there, left } = forgotten;
        Self { schema: "buildcache.logout/v1", registry, file: file.display().to_string(), was_there, left }
    }
}

impl Report for LoggedIn {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let place =
            self.helper.as_ref().map_or_else(|| self.file.clone(), |helper| format!("{helper}, as {} says", self.file));
        format!("logged in to {} as {}: kept in {place}\n", self.registry, self.username)
    }

    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }

    fn identifiers(&self) -> Vec<String> {
        vec![self.registry.clone()]
    }
}

impl Report for LoggedOut {
    fn table(&self, _: Timestamp, _: bool) -> String {
        match self.was_there {
            true => format!("logged out of {}: removed from {}\n", self.registry, self.file),
            false => format!("there was no login to {} in {}\n", self.registry, self.file),
        }
    }

    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }

    fn identifiers(&self) -> Vec<String> {
        vec![self.registry.clone()]
    }
}
