//! [Credential helpers](https://github.com/docker/docker-credential-helpers): programs that hold credentials.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use cache_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Credential;
use crate::error;

/// How long a helper may take: some request a token, or wait for the user's fingerprint.
const PATIENCE: Duration = Duration::from_secs(60);
/// A helper's message when it has no credential for the server; its exit code is that of any failure.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// The outcome of asking a helper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has a credential.
    Has(Credential),
    /// It has none for the server.
    HasNone,
    /// The program is not installed.
    NotInstalled,
}

/// The program of the helper `name`.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// What a helper has done with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It has stored the login, or has deleted it.
    Yes,
    /// It had none for the server.
    HadNone,
    /// The program is not installed.
    NotInstalled,
}

/// A call of a helper, with the context of its errors.
struct Call<'a> {
    name: &'a str,
    server: &'a str,
    verb: &'a str,
}

/// Asks the helper for the credential of `server`.
pub(super) async fn get(name: &str, server: &str) -> Result<Answer> {
    let call = Call { name, server, verb: "get" };
    match call.run(server.as_bytes()).await? {
        Some((true, said)) => read(&said, |message| call.failed(message)),
        Some((false, said)) => Ok(if is_not_found(&said) { Answer::HasNone } else { return Err(call.refused(&said)) }),
        None => Ok(Answer::NotInstalled),
    }
}

/// Gives the helper a password for `server`, which replaces the one it has.
pub(super) async fn store(name: &str, server: &str, username: &str, password: &str) -> Result<Done> {
    let call = Call { name, server, verb: "store" };
    let input = serde_json::json!({ "ServerURL": server, "Username": username, "Secret": password }).to_string();
    match call.run(input.as_bytes()).await? {
        Some((true, _)) => Ok(Done::Yes),
        Some((false, said)) => Err(call.refused(&said)),
        None => Ok(Done::NotInstalled),
    }
}

/// Makes the helper delete the login of `server`.
pub(super) async fn erase(name: &str, server: &str) -> Result<Done> {
    let call = Call { name, server, verb: "erase" };
    match call.run(server.as_bytes()).await? {
        Some((true, _)) => Ok(Done::Yes),
        Some((false, said)) => Ok(if is_not_found(&said) { Done::HadNone } else { return Err(call.refused(&said)) }),
        None => Ok(Done::NotInstalled),
    }
}

impl Call<'_> {
    /// Whether it succeeded, and its output; `None` if there is no such program.
    async fn run(&self, input: &[u8]) -> Result<Option<(bool, Vec<u8>)>> {
        if self.name.contains(['/', '\\']) {
            return Err(self.failed("the name of the credential helper is a path"));
        }
        match tokio::time::timeout(PATIENCE, run(&program(self.name), self.verb, input)).await {
            Ok(Ok(said)) => Ok(Some(said)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(self.failed("cannot run the credential helper").with_source(error)),
            Err(_) => Err(self.failed("the credential helper does not answer")),
        }
    }

    fn failed(&self, message: &str) -> Error {
        error::new(ErrorKind::Unauthenticated, message).with("helper", self.name).with("registry", self.server)
    }

    fn refused(&self, said: &[u8]) -> Error {
        let words: String = String::from_utf8_lossy(said).trim().chars().take(200).collect();
        self.failed("the credential helper failed").with("said", words)
    }
}

async fn run(program: &str, verb: &str, input: &[u8]) -> io::Result<(bool, Vec<u8>)> {
    let mut command = Command::new(program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input reports that by its exit code.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await?;
    Ok((output.status.success(), output.stdout))
}

fn read(said: &[u8], failed: impl Fn(&str) -> Error) -> Result<Answer> {
    // The parser's message could quote the secret.
    let found: Found =
        serde_json::from_slice(said).map_err(|_| failed("the answer of the credential helper is not JSON"))?;
    Ok(match (found.username.as_str(), found.secret) {
        ("", _) => Answer::HasNone,
        (TOKEN_USER, token) => Answer::Has(Credential::IdentityToken(token)),
        (_, password) => Answer::Has(Credential::Password { username: found.username, password }),
    })
}

fn is_not_found(said: &[u8]) -> bool {
    String::from_utf8_lossy(said).contains(NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> Error {
        error::new(ErrorKind::Unauthenticated, message)
    }

    #[test]
    fn the_output_of_a_helper_is_a_credential() {
        let said = br#"{"ServerURL":"h","Username":"a","Secret":"b"}"#;
        assert_eq!(read(said, failed).unwrap(), Answer::Has(Credential::password("a", "b")));
        let said = br#"{"Username":"<token>","Secret":"t"}"#;
        assert_eq!(read(said, failed).unwrap(), Answer::Has(Credential::IdentityToken("t".to_owned())));
        assert_eq!(read(b"{}", failed).unwrap(), Answer::HasNone);
        assert!(!format!("{:?}", read(br#"{"Secret":1"#, failed).unwrap_err()).contains("Secret"));
    }

    #[test]
    fn a_helper_that_knows_nothing_is_no_failure() {
        assert!(is_not_found(b"credentials not found in native keychain\n"));
        let call = Call { name: "x", server: "h", verb: "get" };
        assert!(!is_not_found(b"the keychain is locked\n"));
        assert_eq!(call.refused(b"the keychain is locked\n").context("said"), Some("the keychain is locked"));
    }

    #[tokio::test]
    async fn a_helper_is_no_path() {
        assert_eq!(get("../x", "h").await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
