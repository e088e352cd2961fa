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
/// The name that stands for "the secret is an identity token".
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

/// The program that a file calls `name`.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks the helper for the credential of `server`.
pub(super) async fn get(name: &str, server: &str) -> Result<Answer> {
    let failed =
        |message: &str| error::new(ErrorKind::Unauthenticated, message).with("helper", name).with("registry", server);
    if name.contains(['/', '\\']) {
        return Err(failed("the name of the credential helper is a path"));
    }
    let program = program(name);
    let run = run(&program, server);
    let (is_success, said) = match tokio::time::timeout(PATIENCE, run).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Answer::NotInstalled),
        Ok(Err(error)) => return Err(failed("cannot run the credential helper").with_source(error)),
        Err(_) => return Err(failed("the credential helper does not answer")),
    };
    if is_success { read(&said, failed) } else { refused(&said, failed) }
}

async fn run(program: &str, server: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input reports that by its exit code.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    Ok((output.status.success(), output.stdout))
}

fn read(said: &[u8], failed: impl Fn(&str) -> Error) -> Result<Answer> {
    // The parser's message could quote the secret.
    let found: Found =
        serde_json::from_slice(said).map_err(|_| failed("the credential helper does not answer in JSON"))?;
    Ok(match (found.username.as_str(), found.secret) {
        ("", _) => Answer::HasNone,
        (TOKEN_USER, token) => Answer::Has(Credential::IdentityToken(token)),
        (_, password) => Answer::Has(Credential::Password { username: found.username, password }),
    })
}

fn refused(said: &[u8], failed: impl Fn(&str) -> Error) -> Result<Answer> {
    let words: String = String::from_utf8_lossy(said).trim().chars().take(200).collect();
    if words.contains(NOT_FOUND) {
        return Ok(Answer::HasNone);
    }
    Err(failed("the credential helper failed").with("said", words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> Error {
        error::new(ErrorKind::Unauthenticated, message)
    }

    #[test]
    fn what_a_helper_says_is_a_credential() {
        let said = br#"{"ServerURL":"h","Username":"a","Secret":"b"}"#;
        assert_eq!(read(said, failed).unwrap(), Answer::Has(Credential::password("a", "b")));
        let said = br#"{"Username":"<token>","Secret":"t"}"#;
        assert_eq!(read(said, failed).unwrap(), Answer::Has(Credential::IdentityToken("t".to_owned())));
        assert_eq!(read(b"{}", failed).unwrap(), Answer::HasNone);
        assert!(!format!("{:?}", read(br#"{"Secret":1"#, failed).unwrap_err()).contains("Secret"));
    }

    #[test]
    fn a_helper_that_knows_nothing_is_no_failure() {
        assert_eq!(refused(b"credentials not found in native keychain\n", failed).unwrap(), Answer::HasNone);
        let error = refused(b"the keychain is locked\n", failed).unwrap_err();
        assert_eq!(error.context("said"), Some("the keychain is locked"));
    }

    #[tokio::test]
    async fn a_helper_is_no_path() {
        assert_eq!(get("../x", "h").await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
