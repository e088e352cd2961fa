//! The errors of this backend, and those of connections to a registry.

use std::error::Error as _;

use cache_core::{Error, ErrorKind};
use cache_kit::{UNTRUSTED, is_untrusted};
use url::Url;

use crate::KIND;

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
        .then_some("nothing answers by HTTPS: if the registry is meant to speak plain HTTP, use registry.insecure=true")
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

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        cause = error.to_string();
        next = error.source();
    }
    cause
}
