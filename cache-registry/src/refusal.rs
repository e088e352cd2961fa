//! Maps the error answers of a registry: status, codes and message.

use std::time::Duration;

use cache_core::{Error, ErrorKind, Timestamp};
use cache_kit::{Tuning, kind_of_status, one_line, parse_retry_after};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::answer::Reading;
use crate::error::new;

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
            "the registry redirects to {origin}, which this request cannot follow: use the registry's name in that address"
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
            // A pushed blob was deleted, or the upload was dropped: the next try starts again.
            _ if self.has("MANIFEST_BLOB_UNKNOWN") || self.has("BLOB_UPLOAD_UNKNOWN") => ErrorKind::Unavailable,
            _ if self.has("DIGEST_INVALID") || self.has("SIZE_INVALID") => ErrorKind::DigestMismatch,
            // We send no conditions, so this is a rule of the registry, such as an immutable tag.
            409 | 412 => ErrorKind::PermissionDenied,
            // ECR has no status of its own for that.
            400 if self.words.contains("immutable") => ErrorKind::PermissionDenied,
            status => kind_of_status(status),
        }
    }
}

/// The error body of the [distribution
/// spec](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes), and that of token servers
/// (RFC 6749, section 5.2). `oci-client` has a type for the first that knows a fixed list of codes; registries have
/// their own.
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
    fn the_code_takes_precedence_over_the_status() {
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
