//! Maps the store's answers and connection failures to errors.

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;
use cache_core::{Error, ErrorKind, Timestamp};
use cache_kit::{UNTRUSTED, is_untrusted, kind_of_status, one_line, parse_retry_after};

use crate::KIND;
use crate::client::TOO_LONG;

/// An unread answer.
pub(crate) type Raw = HttpResponse;

/// Makes an error of this backend.
pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with("backend", KIND)
}

/// Maps the SDK's error of a request.
pub(crate) fn failed<E>(failure: SdkError<E, Raw>, message: &str) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    // Little is done here, since it is compiled for each operation.
    match &failure {
        SdkError::ServiceError(answer) => {
            let meta = answer.err().meta();
            refused(message, answer.raw(), meta.code(), meta.message())
        }
        SdkError::ResponseError(answer) => unreadable(message, answer.raw(), failure.source()),
        SdkError::DispatchFailure(failure) => unreachable(failure.as_connector_error(), message),
        SdkError::TimeoutError(_) => new(ErrorKind::Unavailable, message).with("cause", "the connection timed out"),
        SdkError::ConstructionFailure(_) => unsendable(message, failure.source()),
        _ => new(ErrorKind::Unavailable, message).with_source(failure),
    }
}

/// A key, a bucket or an endpoint of which no request can be made.
fn unsendable(message: &str, cause: Option<&(dyn StdError + 'static)>) -> Error {
    let error = new(ErrorKind::InvalidSpec, message).with("cause", one_line(&cause.map(chain).unwrap_or_default()));
    error.with_hint("check bucket, region and endpoint_url")
}

/// The status came, and a body that is not S3's: a proxy's page, or half of one.
fn unreadable(message: &str, raw: &Raw, cause: Option<&(dyn StdError + 'static)>) -> Error {
    let cause = cause.map(chain).unwrap_or_default();
    if cause.contains(TOO_LONG) {
        return new(ErrorKind::LimitExceeded, message).with("cause", TOO_LONG);
    }
    refused(message, raw, None, None).with("cause", one_line(&cause))
}

/// Maps an answer that is not the wanted one.
fn refused(message: &str, raw: &Raw, code: Option<&str>, said: Option<&str>) -> Error {
    let status = raw.status().as_u16();
    let (kind, hint) = meaning(code.unwrap_or_default(), status);
    let body = raw.body().bytes().map(|body| one_line(&String::from_utf8_lossy(body))).unwrap_or_default();
    let words = match (code, said) {
        (Some(code), Some(said)) => one_line(&format!("{code}: {said}")),
        (Some(code), None) => code.to_owned(),
        _ => body,
    };
    let error = new(kind, message).with_status(status);
    let error = if words.is_empty() { error } else { error.with("server", words) };
    let error = code.into_iter().fold(error, Error::with_code);
    let header = |name| raw.headers().get(name).filter(|value| !value.is_empty());
    let error = header("x-amz-request-id").into_iter().fold(error, |error, id| error.with("request", id));
    // Another writer is writing to the same key: S3 asks for a retry.
    let error = if status == 409 { error.with_retryable(kind == ErrorKind::Conflict) } else { error };
    let wait = header("retry-after").and_then(|value| parse_retry_after(value, Timestamp::now()));
    let error = match wait {
        Some(wait) if error.is_retryable() => error.with_retry_after(wait),
        _ => error,
    };
    hint.into_iter().fold(error, Error::with_hint)
}

/// Maps a failure inside an answer about many objects, which has no status of its own.
pub(crate) fn in_words(message: &str, code: Option<&str>, said: Option<&str>) -> Error {
    let (kind, hint) = meaning(code.unwrap_or_default(), 400);
    let words = [code, said].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let error = new(kind, message).with("server", one_line(&words));
    hint.into_iter().fold(error, Error::with_hint)
}

/// The code is more precise than the status.
fn meaning(code: &str, status: u16) -> (ErrorKind, Option<&'static str>) {
    use ErrorKind as Kind;
    match code {
        "NoSuchBucket" => (Kind::NotFound, Some("create the bucket, or check bucket, region and endpoint_url")),
        "NoSuchUpload" => (Kind::NotFound, None),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => (Kind::PermissionDenied, Some(DENIED)),
        "InvalidAccessKeyId" => (Kind::Unauthenticated, Some("the store does not know access_key_id")),
        "SignatureDoesNotMatch" => (Kind::Unauthenticated, Some("secret_access_key does not belong to access_key_id")),
        "ExpiredToken" | "TokenRefreshRequired" => (Kind::Unauthenticated, Some("log in again: the token has expired")),
        "InvalidToken" | "MissingSecurityHeader" => (Kind::Unauthenticated, Some("check session_token")),
        "RequestTimeTooSkewed" => (Kind::Unauthenticated, Some("set the clock of this machine")),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            (Kind::InvalidSpec, Some("set region to the one that the bucket is in"))
        }
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests" | "RequestLimitExceeded" => {
            (Kind::RateLimited, None)
        }
        "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "IncompleteBody" => (Kind::Unavailable, None),
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            (Kind::DigestMismatch, None)
        }
        "EntityTooLarge" => (Kind::LimitExceeded, None),
        "InvalidObjectState" => (Kind::Archived, Some(ARCHIVED)),
        _ => by_status(status),
    }
}

const ARCHIVED: &str = "a lifecycle rule has moved the object to an archive: restore it, or copy the cache there again";
const DENIED: &str =
    "the credentials need s3:GetObject, s3:PutObject, s3:ListBucket and for `rm` and `prune` s3:DeleteObject there";

fn by_status(status: u16) -> (ErrorKind, Option<&'static str>) {
    match status {
        301 | 307 => (ErrorKind::InvalidSpec, Some("set region to the one that the bucket is in")),
        403 => (ErrorKind::PermissionDenied, Some(DENIED)),
        _ => (kind_of_status(status), None),
    }
}

/// No answer: no connection, a reset, or no credentials.
fn unreachable(connector: Option<&ConnectorError>, message: &str) -> Error {
    let Some(connector) = connector else { return new(ErrorKind::Unavailable, message) };
    let cause = one_line(&chain(connector));
    if cause.contains("credential") {
        let error = new(ErrorKind::Unauthenticated, message).with("cause", cause);
        return error.with_hint(
            "give access_key_id and secret_access_key, or log in so that the AWS CLI works: `aws sts get-caller-identity`",
        );
    }
    let is_certificate = is_untrusted(&cause);
    let is_final = is_certificate || connector.is_user();
    let error = new(ErrorKind::Unavailable, message).with("cause", cause).with_retryable(!is_final);
    if is_certificate { error.with_hint(format!("{UNTRUSTED}, and so can AWS_CA_BUNDLE")) } else { error }
}

/// Maps a body that broke.
pub(crate) fn broken(error: ByteStreamError, message: &str) -> Error {
    new(ErrorKind::Unavailable, message).with("cause", one_line(&chain(&error))).with_source(error)
}

/// The messages of the error and its sources, in order.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        if !words.ends_with(&said) {
            words = format!("{words}: {said}");
        }
        next = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn raw(status: u16, body: &'static str) -> Raw {
        Raw::new(status.try_into().unwrap(), body.into())
    }

    #[test]
    fn the_code_takes_precedence_over_the_status() {
        let cases = [
            ("NoSuchBucket", 404, ErrorKind::NotFound),
            ("AccessDenied", 403, ErrorKind::PermissionDenied),
            ("InvalidAccessKeyId", 403, ErrorKind::Unauthenticated),
            ("SignatureDoesNotMatch", 403, ErrorKind::Unauthenticated),
            ("ExpiredToken", 400, ErrorKind::Unauthenticated),
            ("SlowDown", 503, ErrorKind::RateLimited),
            ("RequestTimeout", 400, ErrorKind::Unavailable),
            ("PermanentRedirect", 301, ErrorKind::InvalidSpec),
            ("InvalidObjectState", 403, ErrorKind::Archived),
            ("PreconditionFailed", 412, ErrorKind::Conflict),
            ("Unheard", 403, ErrorKind::PermissionDenied),
            ("", 429, ErrorKind::RateLimited),
            ("", 502, ErrorKind::Unavailable),
            ("", 501, ErrorKind::Unsupported),
        ];
        for (code, status, kind) in cases {
            assert_eq!(meaning(code, status).0, kind, "{code} {status}");
        }
    }

    #[test]
    fn the_servers_message_and_retry_after_are_kept() {
        let mut answer = raw(503, "<html>\n busy </html>");
        answer.headers_mut().insert("retry-after", "7");
        answer.headers_mut().insert("x-amz-request-id", "4442587FB7D0A2F9");
        let error = refused("cannot read", &answer, None, None);
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(7))));
        let expected = "cannot read (backend=s3, status=503, server=<html> busy </html>, request=4442587FB7D0A2F9)";
        assert_eq!(error.to_string(), expected);
        let error = refused("cannot read", &raw(403, ""), Some("AccessDenied"), Some("Access\nDenied"));
        assert_eq!(error.context("server"), Some("AccessDenied: Access Denied"));
        assert!(error.hint().unwrap().contains("s3:ListBucket") && !error.is_retryable());
    }

    #[test]
    fn a_wait_may_be_a_date() {
        let wait = |date| {
            let mut answer = raw(503, "");
            answer.headers_mut().insert("retry-after", date);
            refused("cannot read", &answer, None, None).retry_after()
        };
        assert!(wait("Fri, 31 Dec 9999 23:59:59 GMT") > Some(Duration::from_secs(3_600)));
        assert_eq!((wait("Sun, 06 Nov 1994 08:49:37 GMT"), wait("soon")), (None, None));
    }

    #[test]
    fn a_conflict_of_two_writers_is_tried_again_and_a_lost_race_is_not() {
        assert!(refused("x", &raw(409, ""), Some("ConditionalRequestConflict"), None).is_retryable());
        assert!(!refused("x", &raw(412, ""), Some("PreconditionFailed"), None).is_retryable());
    }
}
