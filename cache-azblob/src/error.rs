//! Maps the service's answers and connection failures to errors.

use std::error::Error as _;
use std::time::Duration;

use azure_core::error::ErrorKind as AzureKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::{HeaderName, Headers};
use cache_core::{Error, ErrorKind, Timestamp};
use cache_kit::{UNTRUSTED, is_untrusted, kind_of_status, one_line, parse_retry_after};

use crate::KIND;

/// Makes an error of this backend.
pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with("backend", KIND)
}

/// Maps a failed call, which `message` names.
pub(crate) fn of(error: azure_core::Error, message: &str) -> Error {
    match error.kind() {
        AzureKind::HttpResponse { status, raw_response, .. } => {
            refused(u16::from(*status), raw_response.as_deref(), message)
        }
        AzureKind::Credential => new(ErrorKind::Unauthenticated, message)
            .with("cause", one_line(&error.to_string()))
            .with_hint("log in with `az login`, set the variables AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give secret_access_key"),
        _ => match core_error(&error) {
            // A bound of ours: its own kind and cause.
            Some(ours) => match ours.silent_for() {
                Some(waited) => Error::silence(message, waited).with("backend", KIND),
                None => {
                    let cause = ours.context("cause").unwrap_or_default();
                    new(ours.kind(), message).with("cause", cause).with_retryable(ours.is_retryable())
                }
            }
            .with_source(error),
            None => unreachable(&error, message).with_source(error),
        },
    }
}

/// Maps a failure on the way to the service, or in setting it up.
pub(crate) fn unreachable(error: &(dyn std::error::Error + 'static), message: &str) -> Error {
    let cause = root_cause(error);
    let is_final = is_untrusted(&cause);
    let made = new(ErrorKind::Unavailable, message).with_retryable(!is_final).with("cause", cause);
    if is_final { made.with_hint(UNTRUSTED) } else { made }
}

/// An error of the core that went through the SDK.
fn core_error(error: &azure_core::Error) -> Option<Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        next = error.source();
    }
    None
}

/// The code of an error, if it is an answer of the service.
pub(crate) fn code_of(error: &azure_core::Error) -> Option<String> {
    match error.kind() {
        AzureKind::HttpResponse { raw_response, .. } => Answer::of(raw_response.as_deref()).code,
        _ => None,
    }
}

fn refused(status: u16, response: Option<&RawResponse>, message: &str) -> Error {
    let answer = Answer::of(response);
    let code = answer.code.as_deref().unwrap_or_default();
    let kind = kind_of(status, code);
    let mut error = new(kind, message).with_status(status);
    if !answer.words().is_empty() {
        error = error.with("server", answer.words());
    }
    if let Some(id) = &answer.request_id {
        error = error.with("request", one_line(id));
    }
    if let Some(wait) = answer.wait.filter(|_| error.is_retryable()) {
        error = error.with_retry_after(wait);
    }
    match hint(kind, code) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The code takes precedence over the status.
fn kind_of(status: u16, code: &str) -> ErrorKind {
    match (status, code) {
        (_, "AuthenticationFailed" | "NoAuthenticationInformation" | "InvalidAuthenticationInfo") => {
            ErrorKind::Unauthenticated
        }
        // Another writer committed the blob, which drops the blocks of all others.
        (_, "BlobAlreadyExists" | "ConditionNotMet" | "TargetConditionNotMet" | "InvalidBlockList") => {
            ErrorKind::Conflict
        }
        (_, "ContainerBeingDeleted" | "AccountBeingCreated") => ErrorKind::Unavailable,
        (_, "InvalidResourceName") => ErrorKind::InvalidSpec,
        (_, "BlobArchived" | "BlobBeingRehydrated") => ErrorKind::Archived,
        (403, _) => ErrorKind::PermissionDenied,
        (_, "LeaseIdMissing" | "BlobImmutableDueToPolicy") => ErrorKind::PermissionDenied,
        (409, _) => ErrorKind::Unsupported,
        (412, code) if !code.is_empty() => ErrorKind::Unsupported,
        (416, _) => ErrorKind::DigestMismatch,
        _ => kind_of_status(status),
    }
}

fn hint(kind: ErrorKind, code: &str) -> Option<&'static str> {
    Some(match (kind, code) {
        (_, "KeyBasedAuthenticationNotPermitted") => {
            "this account takes no keys: leave secret_access_key out and log in to Microsoft Entra ID"
        }
        (_, "AuthorizationPermissionMismatch") => {
            "the role Storage Blob Data Reader is needed to read, Storage Blob Data Contributor to write; a signature needs r, w, c, l and d"
        }
        (_, "AuthorizationFailure") => "the account's firewall may not let this machine in",
        (ErrorKind::Unauthenticated, _) => {
            "check account_name with secret_access_key, the signature in account_url, or the login, and the clock of this machine"
        }
        (_, "ContainerNotFound") => "an export creates the container",
        (_, "LeaseIdMissing") => "somebody holds a lease on the blob: break it",
        (_, "SnapshotsPresent") => "the blob has snapshots: delete them first",
        (ErrorKind::Archived, _) => {
            "a lifecycle rule has moved the blob to the archive tier: rehydrate it, or copy the cache there again"
        }
        _ => return None,
    })
}

/// The fields of an error answer.
#[derive(Default)]
struct Answer {
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    wait: Option<Duration>,
}

impl Answer {
    fn of(response: Option<&RawResponse>) -> Self {
        let Some(response) = response else { return Self::default() };
        let body = String::from_utf8_lossy(response.body());
        let header = |name| text(response.headers(), name).map(str::to_owned);
        let said = element(&body, "Message");
        // The rest of it is the request's number and the time.
        let message = said.as_deref().and_then(|said| said.lines().next()).unwrap_or_default();
        Self {
            code: header("x-ms-error-code").or_else(|| element(&body, "Code")),
            message: message.to_owned(),
            request_id: header("x-ms-request-id"),
            wait: wait(response.headers()),
        }
    }

    fn words(&self) -> String {
        let parts = [self.code.as_deref().unwrap_or_default(), &self.message];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        one_line(&said.join(": "))
    }
}

/// The value of a header.
pub(crate) fn text<'a>(headers: &'a Headers, name: &'static str) -> Option<&'a str> {
    headers.get_optional_str(&HeaderName::from_static(name))
}

/// The wait that is asked for; the service's own header is more exact.
fn wait(headers: &Headers) -> Option<Duration> {
    let milliseconds = text(headers, "x-ms-retry-after-ms").and_then(|wait| wait.trim().parse().ok());
    let standard = || parse_retry_after(text(headers, "retry-after")?, Timestamp::now());
    milliseconds.map(Duration::from_millis).or_else(standard)
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let text = xml.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>"))?.0;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&amp;", "&").trim().to_owned())
}

/// The words of the innermost error.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        cause = error.to_string();
        next = error.source();
    }
    one_line(&cause)
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;

    use super::*;

    fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Error {
        let mut given = Headers::new();
        for (name, value) in headers {
            given.insert(*name, *value);
        }
        let status = StatusCode::from(status);
        let raw = RawResponse::from_bytes(status, given, body);
        let kind = AzureKind::HttpResponse { status, error_code: None, raw_response: Some(Box::new(raw)) };
        of(kind.into_error(), "it failed")
    }

    /// As Azurite answers.
    const BODY: &str = "<?xml version=\"1.0\"?>\n<Error>\n  <Code>ContainerNotFound</Code>\n  <Message>The specified \
                        container does not exist.\nRequestId:9725\nTime:2026</Message>\n</Error>";

    #[test]
    fn the_words_are_those_of_the_service() {
        let error = answered(404, &[("x-ms-request-id", "9725")], BODY);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.context("server"), Some("ContainerNotFound: The specified container does not exist."));
        assert_eq!((error.context("request"), error.hint()), (Some("9725"), Some("an export creates the container")));
        let bare = answered(404, &[], "<html>nginx</html>");
        assert_eq!((bare.context("server"), bare.context("status")), (None, Some("404")));
    }

    #[test]
    fn the_code_takes_precedence_over_the_status() {
        let kind = |status, code| answered(status, &[("x-ms-error-code", code)], "").kind();
        assert_eq!(kind(403, "AuthenticationFailed"), ErrorKind::Unauthenticated);
        assert_eq!(kind(403, "AuthorizationFailure"), ErrorKind::PermissionDenied);
        assert_eq!(kind(409, "BlobAlreadyExists"), ErrorKind::Conflict);
        assert_eq!(kind(412, "ConditionNotMet"), ErrorKind::Conflict);
        assert_eq!(kind(412, "LeaseIdMissing"), ErrorKind::PermissionDenied);
        assert_eq!(kind(409, "BlobImmutableDueToPolicy"), ErrorKind::PermissionDenied);
        assert_eq!(kind(409, "SnapshotsPresent"), ErrorKind::Unsupported);
        assert_eq!(kind(409, "BlobArchived"), ErrorKind::Archived);
        assert_eq!(kind(409, "ContainerBeingDeleted"), ErrorKind::Unavailable);
        assert_eq!(kind(400, "InvalidBlockList"), ErrorKind::Conflict);
        assert_eq!(kind(503, "ServerBusy"), ErrorKind::Unavailable);
        assert_eq!(kind(416, "InvalidRange"), ErrorKind::DigestMismatch);
    }

    #[test]
    fn retry_after_is_kept_for_retryable_errors() {
        assert_eq!(answered(503, &[("retry-after", "7")], "").retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(
            answered(429, &[("x-ms-retry-after-ms", "250")], "").retry_after(),
            Some(Duration::from_millis(250))
        );
        assert_eq!(answered(403, &[("retry-after", "7")], "").retry_after(), None);
        let until = |date| answered(503, &[("retry-after", date)], "").retry_after();
        assert!(until("Fri, 31 Dec 9999 23:59:59 GMT") > Some(Duration::from_secs(3_600)));
        assert_eq!(until("Sun, 06 Nov 1994 08:49:37 GMT"), None);
    }
}
