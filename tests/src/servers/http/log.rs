//! The log of requests.

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RANGE, USER_AGENT};
use hyper::{HeaderMap, Method, Request};

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The method.
    pub method: Method,
    /// The path and the query.
    pub path: String,
    /// `User-Agent`.
    pub agent: String,
    /// `Range`.
    pub range: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// Every header.
    pub headers: HeaderMap,
    /// The status of the answer.
    pub status: u16,
}

impl Logged {
    pub(super) fn new(request: &Request<Incoming>) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            method: request.method().clone(),
            path: request.uri().to_string(),
            agent: header(USER_AGENT).unwrap_or_default(),
            range: header(RANGE),
            authorization: header(AUTHORIZATION),
            headers: request.headers().clone(),
            status: 0,
        }
    }

    /// Method, kind and status: `GET manifests 200`. The kind is the first of `kinds` that follows a slash in the path.
    #[must_use]
    pub fn short(&self, kinds: &[&str]) -> String {
        let kind = kinds.iter().find(|kind| self.path.contains(&format!("/{kind}"))).unwrap_or(&"other");
        format!("{} {kind} {}", self.method, self.status)
    }
}
