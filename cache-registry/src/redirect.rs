//! Which redirects of a registry are followed, and their targets.
//!
//! The next request has no `Referer`, and a credential only for the origin to which the credential belongs.

use cache_kit::MAX_REDIRECTS;
use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::error;

/// The target of a redirect.
///
/// A read follows every redirect. A write follows those that keep its method and its body (307 and 308), as in Go.
pub(crate) fn target(response: &Response, method: &Method) -> Option<Url> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {}
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER if is_read => {}
        _ => return None,
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut url = response.url().join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.set_fragment(None);
    Some(url)
}

/// The error for redirects without end.
pub(crate) fn endless(message: &str) -> cache_core::Error {
    let error = error::new(cache_core::ErrorKind::Unavailable, message).with_retryable(false);
    error.with("cause", format!("more than {MAX_REDIRECTS} redirects in a row"))
}
