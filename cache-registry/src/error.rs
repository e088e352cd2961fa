//! Where errors get their kind: what a registry answers, and what goes wrong on the way to it.

use std::error::Error as _;
use std::time::Duration;

use cache_core::{Error, ErrorKind, Timestamp};
use cache_kit::{Tuning, UNTRUSTED, is_untrusted, one_line, parse_retry_after};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::KIND;
use crate::answer::Reading;

/// Makes an error of this backend.
pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with("backend", KIND)
}

/// Maps a failure on the way: no connection, no answer, a broken body. Its URL may be signed and is left out.
pub(crate) fn transport(error: reqwest::Error, message: &str) -> Error {
    let url = error.url().cloned();
    let error = error.without_url();
    let cause = root_cause(&error);
    let plain_http = url.as_ref().and_then(|url| plain_http_hint(&error, url));
    let certificate = match error.is_builder() {
        true => is_untrusted(&cause).then_some(UNTRUSTED),
        false => certificate_hint(&cause),
    };
    let is_final = certificate.is_some() || is_no_tls(&error) || error.is_builder();
    let hint = certificate.or(plain_http);
    let made = new(ErrorKind::Unavailable, message).with_retryable(!is_final).with("cause", cause);
    let host = url.and_then(|url| url.host_str().map(str::to_owned));
    let made = host.into_iter().fold(made, |made, host| made.with("host", host));
    hint.into_iter().fold(made, Error::with_hint).with_source(error)
}

/// Whether the other side answers, but not in TLS.
pub(crate) fn is_no_tls(error: &reqwest::Error) -> bool {
    let text = format!("{error:?}");
    error.is_connect() && ["InvalidContentType", "CorruptMessage"].iter().any(|sign| text.contains(sign))
}

/// Whether the other side ends the connection before there is one.
pub(crate) fn is_cut_off(error: &reqwest::Error) -> bool {
    error.is_connect() && format!("{error:?}").contains("UnexpectedEof")
}

/// Whether the connection was refused.
pub(crate) fn is_refused(error: &reqwest::Error) -> bool {
    format!("{error:?}").contains("ConnectionRefused")
}

/// The hint for a registry without HTTPS: plain HTTP has to be allowed.
fn plain_http_hint(error: &reqwest::Error, url: &Url) -> Option<&'static str> {
    let is_https = url.scheme() == "https";
    if is_https && is_no_tls(error) {
        return Some(
            "the registry does not speak HTTPS: if it is meant to speak plain HTTP, use registry.insecure=true",
        );
    }
    (is_https && url.port().is_none() && is_refused(error))
        .then_some("nobody answers by HTTPS: if the registry is meant to speak plain HTTP, use registry.insecure=true")
}

/// The hint for a certificate that one side refuses; a retry does not help.
fn certificate_hint(cause: &str) -> Option<&'static str> {
    if cause.contains("fatal alert") {
        let is_ours = cause.contains("Certificate") || cause.contains("UnknownCA");
        return is_ours.then_some(
            "the registry wants a certificate: put it into /etc/docker/certs.d/<registry>/client.cert and client.key",
        );
    }
    // What `openssl req -x509` makes; Docker takes it for a server's, rustls does not.
    if cause.contains("CaUsedAsEndEntity") {
        return Some("the registry shows the certificate of a CA; give it one that the CA signed");
    }
    cause
        .contains("certificate")
        .then_some("put the registry's CA into /etc/docker/certs.d/<registry>/ca.crt, or set registry.insecure=true")
}

/// Maps an unexpected answer, with the server's message.
pub(crate) async fn refused(response: Response, message: &str, tuning: &Tuning) -> Error {
    let (status, headers) = (response.status(), response.headers().clone());
    let led_to = led_to(&response);
    let answer = Answer::read(response, tuning).await;
    let kind = answer.kind(status);
    let error = new(kind, message).with_status(status.as_u16());
    let error = match retry_after(&headers) {
        Some(wait) if error.is_retryable() => error.with_retry_after(wait),
        _ => error,
    };
    let error = if answer.words.is_empty() { error } else { error.with("server", &answer.words) };
    match (kind, led_to) {
        (_, Some(origin)) => error.with_hint(format!(
            "the registry leads to {origin}, where this request cannot follow: name the registry as it is called there"
        )),
        (ErrorKind::Unsupported, None) if answer.has("MANIFEST_INVALID") => {
            error.with_hint("try another form: image-manifest=true, or image-manifest=false")
        }
        _ => error,
    }
}

/// Where a redirect leads that cannot be followed; of the URL only what names a server.
fn led_to(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    let url = response.url().join(location.to_str().ok()?).ok()?;
    Some(url.origin().ascii_serialization())
}

/// The message of a server about an error.
struct Answer {
    codes: Vec<String>,
    words: String,
}

impl Answer {
    async fn read(response: Response, tuning: &Tuning) -> Self {
        let body = Reading { tuning, message: "cannot read the answer" }.start(response).await;
        let errors = serde_json::from_slice::<Envelope>(&body).map(Envelope::into_errors).unwrap_or_default();
        if errors.is_empty() {
            return Self { codes: Vec::new(), words: one_line(&String::from_utf8_lossy(&body)) };
        }
        let words: Vec<String> = errors.iter().map(ServerError::to_words).collect();
        let words = one_line(&words.join("; "));
        Self { codes: errors.into_iter().map(|error| error.code).collect(), words }
    }

    fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|given| given == code)
    }

    /// The registry's code is more precise than the status.
    fn kind(&self, status: StatusCode) -> ErrorKind {
        match status.as_u16() {
            _ if self.has("TOOMANYREQUESTS") => ErrorKind::RateLimited,
            // What was pushed is gone, or the upload was forgotten: the next try starts again.
            _ if self.has("MANIFEST_BLOB_UNKNOWN") || self.has("BLOB_UPLOAD_UNKNOWN") => ErrorKind::Unavailable,
            _ if self.has("DIGEST_INVALID") || self.has("SIZE_INVALID") => ErrorKind::DigestMismatch,
            // Nothing of ours is conditional: the registry does not let anybody do this, as with an immutable tag.
            409 | 412 => ErrorKind::PermissionDenied,
            // ECR has no status of its own for that.
            400 if self.words.contains("immutable") => ErrorKind::PermissionDenied,
            status => ErrorKind::from_status(status),
        }
    }
}

/// The error body of the [distribution spec](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes),
/// and that of token servers (RFC 6749, section 5.2). `oci-client` has a type for the first that knows a fixed list of
/// codes; registries have their own.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<ServerError>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
    #[serde(default)]
    details: Option<String>,
}

#[derive(Deserialize)]
struct ServerError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Envelope {
    fn into_errors(self) -> Vec<ServerError> {
        let oauth = [self.error, self.error_description.or(self.details)];
        let is_oauth = oauth.iter().any(Option::is_some);
        let [code, message] = oauth.map(Option::unwrap_or_default);
        self.errors.into_iter().chain(is_oauth.then_some(ServerError { code, message })).collect()
    }
}

impl ServerError {
    fn to_words(&self) -> String {
        let parts = [&self.code, &self.message];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, Timestamp::now())
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        cause = error.to_string();
        next = error.source();
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        let errors = serde_json::from_str::<Envelope>(body).unwrap().into_errors();
        Answer {
            words: errors.iter().map(ServerError::to_words).collect::<Vec<_>>().join("; "),
            codes: errors.into_iter().map(|error| error.code).collect(),
        }
    }

    #[test]
    fn the_code_says_more_than_the_status() {
        let kind = |code: &str, status| {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"m","detail":{{}}}}]}}"#);
            answer(&body).kind(StatusCode::from_u16(status).unwrap())
        };
        assert_eq!(kind("TOOMANYREQUESTS", 403), ErrorKind::RateLimited);
        assert_eq!(kind("MANIFEST_BLOB_UNKNOWN", 404), ErrorKind::Unavailable);
        assert_eq!(kind("DIGEST_INVALID", 400), ErrorKind::DigestMismatch);
        assert_eq!(kind("OWN_CODE", 403), ErrorKind::PermissionDenied);
        assert_eq!(kind("UNSUPPORTED", 405), ErrorKind::Unsupported);
        assert_eq!(kind("UNKNOWN", 503), ErrorKind::Unavailable);
    }

    #[test]
    fn both_shapes_of_errors_are_read() {
        let body = r#"{"errors":[{"code":"DENIED","message":"no"},{"message":"really"}]}"#;
        assert_eq!(answer(body).words, "DENIED: no; really");
        let body = r#"{"error":"invalid_grant","error_description":"wrong password"}"#;
        assert_eq!(answer(body).words, "invalid_grant: wrong password");
    }

    #[test]
    fn a_wait_may_be_a_date() {
        let wait = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, reqwest::header::HeaderValue::from_static(value))]))
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert!(wait("Fri, 31 Dec 9999 23:59:59 GMT").is_some());
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn words_are_on_one_line_and_shortened() {
        assert_eq!(one_line("a\n\t b\u{7}c "), "a b c");
        let long = one_line(&"ä".repeat(1_000));
        assert_eq!(long.chars().count(), 401);
    }
}
