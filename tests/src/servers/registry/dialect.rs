//! How registries and proxies in front of them change answers.

use async_compression::tokio::bufread::GzipEncoder;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use hyper::{Method, Uri};
use tokio::io::AsyncReadExt;

use super::Shared;
use super::http::{Answer, empty};

/// Marks a request that was redirected.
const MOVED: &str = "moved=1";

/// The redirect of a write, unless it was redirected already.
pub(super) fn redirect(shared: &Shared, method: &Method, uri: &Uri) -> Option<Answer> {
    let is_write = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    let query = uri.query().unwrap_or_default();
    if !shared.options.redirects_writes || !is_write || !uri.path().starts_with("/v2/") || query.contains(MOVED) {
        return None;
    }
    let mut answer = empty(307);
    let location = format!("{}?{query}{}{MOVED}", uri.path(), if query.is_empty() { "" } else { "&" });
    answer.headers_mut().insert(LOCATION, location.parse().expect("a header"));
    Some(answer)
}

/// The answer after the proxy.
pub(super) async fn proxied(shared: &Shared, is_head: bool, answer: Answer) -> Answer {
    let is_good = answer.status().is_success();
    if shared.options.hides_lengths && is_head && is_good {
        let mut answer = answer;
        answer.headers_mut().insert(CONTENT_LENGTH, 0.into());
        return answer;
    }
    if shared.options.gzips && !is_head && answer.headers().contains_key(hyper::header::CONTENT_TYPE) {
        return gzipped(answer).await;
    }
    answer
}

async fn gzipped(answer: Answer) -> Answer {
    let (mut parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("it is at hand").to_bytes();
    let mut encoded = Vec::new();
    GzipEncoder::new(&bytes[..]).read_to_end(&mut encoded).await.expect("it is at hand");
    parts.headers.insert(CONTENT_ENCODING, "gzip".parse().expect("a header"));
    parts.headers.insert(CONTENT_LENGTH, encoded.len().into());
    Answer::from_parts(parts, Full::new(Bytes::from(encoded)))
}
