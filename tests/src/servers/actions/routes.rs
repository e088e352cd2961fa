//! Routes requests to the parts of the service, and their refusals.

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request};
use serde_json::json;

use super::http::{Answer, collect, fields, full, json as answer_json};
use super::{Shared, blobs, rest, v1, v2};

/// A request with its body.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    pub(super) body: bytes::Bytes,
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) wait: Option<u64>,
    /// The size of the entry, for a range that is refused.
    pub(super) size: Option<usize>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), wait: None, size: None }
    }

    /// Sets how many seconds to wait.
    pub(super) fn after(self, seconds: u64) -> Self {
        Self { wait: Some(seconds), ..self }
    }

    /// Sets the size of the entry.
    pub(super) fn of_size(self, size: usize) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Adds the headers of a refusal to its answer.
    pub(super) fn finish(&self, mut answer: Answer) -> Answer {
        if let Some(wait) = self.wait {
            answer.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        if let Some(size) = self.size {
            answer.headers_mut().insert(CONTENT_RANGE, format!("bytes */{size}").parse().expect("a header"));
        }
        answer
    }

    fn twirp(&self) -> Answer {
        self.finish(answer_json(self.status, &json!({ "code": self.code, "msg": self.message }).to_string()))
    }
}

impl Asked {
    async fn read(request: Request<Incoming>) -> Self {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().map(fields).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        Self { method: parts.method, path, query, headers: parts.headers, body: collect(body).await }
    }

    /// The last value of a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.header(AUTHORIZATION.as_str())
    }
}

pub(super) async fn route(shared: &Shared, request: Request<Incoming>) -> Answer {
    let asked = Asked::read(request).await;
    if let Some(method) = asked.path.strip_prefix(v2::SERVICE) {
        return v2::call(shared, &asked, method).unwrap_or_else(|refusal| refusal.twirp());
    }
    if let Some((_, rest)) = asked.path.split_once("/_apis/artifactcache/") {
        return v1::route(shared, &asked, rest).unwrap_or_else(|refusal| v1::refused(shared.options.dialect, &refusal));
    }
    if let Some(id) = asked.path.strip_prefix(blobs::FOLDER) {
        return blobs::route(shared, &asked, id).unwrap_or_else(|refusal| blobs::refused(&refusal));
    }
    rest::route(shared, &asked).unwrap_or_else(|| {
        let body = json!({ "code": "bad_route", "msg": "no such route", "message": "Not Found" });
        full(404, "application/json", body.to_string().into())
    })
}
