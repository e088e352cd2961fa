//! Errors of this backend: answers of the service, and failures of the connection.

use std::error::Error as StdError;
use std::time::Duration;

use cache_core::{Error, ErrorKind, Timestamp};
use cache_kit::{UNTRUSTED, is_untrusted, kind_of_status, one_line, parse_retry_after};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::KIND;
use crate::fields::Fields;

/// The wait after a refusal that names none: the limits of GitHub are counted by the minute.
const UNNAMED_WAIT: Duration = Duration::from_secs(15);

/// Makes an error of this backend.
pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with("backend", KIND)
}

/// Maps a failure of the connection: none, no answer, a broken body. URLs may be signed and are left out.
pub(crate) fn transport(error: &(dyn StdError + 'static), message: &str) -> Error {
    let cause = root_cause(error);
    let is_final = is_untrusted(&cause);
    let made = new(ErrorKind::Unavailable, message).with_retryable(!is_final).with("cause", cause);
    if is_final { made.with_hint(UNTRUSTED) } else { made }
}

/// Maps an unexpected answer, with the server's message.
pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8], message: &str) -> Error {
    let answer = Answer::parse(body);
    let kind = answer.kind(status);
    let error = new(kind, message).with_status(status.as_u16());
    let error = if answer.words.is_empty() { error } else { error.with("server", &answer.words) };
    match kind {
        ErrorKind::RateLimited => throttled(error, headers),
        ErrorKind::Unavailable => retry_after(headers).into_iter().fold(error, Error::with_retry_after),
        _ => explained(error, &answer.words),
    }
}

/// Maps `"ok": false`, whose reason is in words alone.
pub(crate) fn denied(words: &str, message: &str) -> Error {
    let lower = words.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let kind = match () {
        () if says(&["denied", "read-only", "permission"]) => ErrorKind::PermissionDenied,
        () if says(&["rate limit", "too many requests"]) => ErrorKind::RateLimited,
        () if says(&["quota", "storage limit", "exceeded"]) => ErrorKind::LimitExceeded,
        () => ErrorKind::Unavailable,
    };
    let words = if words.is_empty() { "no reason given" } else { words };
    let error = new(kind, message).with("server", one_line(words));
    match kind {
        ErrorKind::RateLimited => throttled(error, &HeaderMap::new()),
        _ => explained(error.with_retryable(false), words),
    }
}

fn throttled(error: Error, headers: &HeaderMap) -> Error {
    let error =
        error.with_hint("the service takes 200 uploads and 1500 lookups a minute from a repository; try again later");
    error.with_retry_after(retry_after(headers).unwrap_or(UNNAMED_WAIT))
}

/// Adds what to do about it.
fn explained(error: Error, words: &str) -> Error {
    let words = words.to_lowercase();
    let says = |part: &str| words.contains(part);
    match error.kind() {
        ErrorKind::PermissionDenied if says("write denied") => error.with_hint(READ_ONLY),
        ErrorKind::LimitExceeded | ErrorKind::PermissionDenied if says("quota") || says("storage") => error.with_hint(
            "the caches of the repository are at their limit: delete some with `buildcache rm`, or raise it",
        ),
        ErrorKind::Unauthenticated => {
            error.with_hint("a token is valid for as long as its job runs; use the token of a running job")
        }
        _ if says("legacy service is shutting down") => error.with_hint(
            "this is API version 1, which GitHub took down: set version=2, or ACTIONS_CACHE_SERVICE_V2=true",
        ),
        _ => error,
    }
}

/// What to do about a token that can only read.
pub(crate) const READ_ONLY: &str =
    "runs for forks and for untrusted triggers get read-only tokens; export from a run on a branch of the repository";

/// The message of a server about an error.
struct Answer {
    code: String,
    words: String,
}

impl Answer {
    /// The errors of Twirp (`code`, `msg`), of API version 1 (`typeKey`, `message`), of the REST API (`message`) and of
    /// act (`error`).
    fn parse(body: &[u8]) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let Ok(parsed) = serde_json::from_slice::<Fields>(body) else {
            let text = String::from_utf8_lossy(body);
            return Self { code: xml_element(&text, "Code"), words: one_line(&without_tags(&text)) };
        };
        let error = parsed.object("error");
        let first = |texts: &[&str]| texts.iter().find(|text| !text.is_empty()).map(|text| (*text).to_owned());
        let code = first(&[parsed.text("code"), parsed.text("typeKey")]).unwrap_or_default();
        let text = first(&[parsed.text("message"), parsed.text("msg"), parsed.text("error"), error.text("message")]);
        let words = [Some(code.clone()).filter(|code| !code.is_empty()), text];
        Self { code, words: one_line(&words.into_iter().flatten().collect::<Vec<_>>().join(": ")) }
    }

    /// The code is more precise than the status.
    fn kind(&self, status: StatusCode) -> ErrorKind {
        let is_taken = self.code == "already_exists" || self.code.contains("AlreadyExists");
        match status.as_u16() {
            _ if is_taken || self.words.to_lowercase().contains("already exist") => ErrorKind::Conflict,
            // Twirp's word for a method that the service does not have.
            _ if self.code == "bad_route" => ErrorKind::Unsupported,
            _ if self.code == "resource_exhausted" => ErrorKind::RateLimited,
            403 if self.words.to_lowercase().contains("rate limit") => ErrorKind::RateLimited,
            status => kind_of_status(status),
        }
    }
}

/// Signed URLs answer in XML, and proxies in HTML.
fn xml_element(text: &str, name: &str) -> String {
    let inner = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    inner.map(|(inner, _)| one_line(inner)).unwrap_or_default()
}

fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_tag = false;
    for c in text.chars() {
        match c {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                out.push(' ');
            }
            c if !is_tag => out.push(c),
            _ => {}
        }
    }
    out
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, Timestamp::now())
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // Only the outermost error of an HTTP client names its URL; one that has no cause is such an error.
    match cause.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "it took too long".to_owned(),
        Some(error) if error.is_builder() => "the request cannot be made".to_owned(),
        Some(_) => "the connection failed".to_owned(),
        None => one_line(&cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(status: u16, body: &str) -> Error {
        refused(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), "no")
    }

    #[test]
    fn the_servers_words_are_in_the_error_in_every_dialect() {
        let cases = [
            (r#"{"code":"resource_exhausted","msg":"rate limit exceeded"}"#, "resource_exhausted: rate limit exceeded"),
            ("\u{feff}{\"typeKey\":\"XException\",\"message\":\"no such thing\"}", "XException: no such thing"),
            (r#"{"message":"Bad credentials","documentation_url":"x"}"#, "Bad credentials"),
            (r#"{"error":"cache 4: already complete"}"#, "cache 4: already complete"),
            (r#"{"code":404,"message":null,"error":{"message":"gone"}}"#, "gone"),
            (
                "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>expired</Message></Error>",
                "AuthenticationFailed expired",
            ),
        ];
        for (body, words) in cases {
            assert_eq!(map(400, body).context("server"), Some(words));
        }
    }

    #[test]
    fn the_code_takes_precedence_over_the_status() {
        assert_eq!(map(400, r#"{"code":"already_exists","msg":""}"#).kind(), ErrorKind::Conflict);
        assert_eq!(map(400, r#"{"typeKey":"ArtifactCacheItemAlreadyExistsException"}"#).kind(), ErrorKind::Conflict);
        assert_eq!(map(400, r#"{"message":"Cache Already Exists."}"#).kind(), ErrorKind::Conflict);
        assert_eq!(map(400, r#"{"error":"already exist"}"#).kind(), ErrorKind::Conflict);
        assert_eq!(map(403, r#"{"message":"API rate limit exceeded"}"#).kind(), ErrorKind::RateLimited);
        assert_eq!(map(503, "").kind(), ErrorKind::Unavailable);
        assert_eq!(map(429, "").retry_after(), Some(UNNAMED_WAIT));
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        let wait = |status: u16, value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, reqwest::header::HeaderValue::from_static(value))]);
            refused(StatusCode::from_u16(status).unwrap(), &headers, b"", "no").retry_after()
        };
        assert_eq!((wait(429, "7"), wait(503, "7")), (Some(Duration::from_secs(7)), Some(Duration::from_secs(7))));
        let years = Duration::from_secs(3_600 * 24 * 365);
        assert!(wait(429, "Fri, 31 Dec 9999 23:59:59 GMT") > Some(years));
        assert_eq!(wait(429, "Sun, 06 Nov 1994 08:49:37 GMT"), Some(UNNAMED_WAIT));
        assert_eq!((wait(503, "soon"), wait(403, "7")), (None, None));
    }

    #[test]
    fn a_refusal_without_a_code_gets_the_kind_of_its_message() {
        let cases = [
            ("cache write denied: the token has read-only access to the cache", ErrorKind::PermissionDenied),
            ("Rate limit reached", ErrorKind::RateLimited),
            ("cache storage quota exceeded", ErrorKind::LimitExceeded),
            ("", ErrorKind::Unavailable),
        ];
        for (words, kind) in cases {
            let error = denied(words, "cannot reserve the entry");
            assert_eq!(error.kind(), kind, "{words}");
            assert!(error.context("server").is_some_and(|shown| !shown.is_empty()));
        }
    }

    #[test]
    fn a_signed_url_in_an_answer_is_not_shown() {
        let error = map(403, r#"{"message":"no https://h/x?se=1&sig=hush here"}"#);
        assert_eq!(error.context("server"), Some("no REDACTED here"));
    }
}
