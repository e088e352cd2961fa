//! [`RequestLog`]: a `tracing` event for each request and its outcome, without secrets.

use std::time::Instant;

use cache_core::spec::shown_place;

/// The headers in which servers return the ID of a request.
const IDS: [&str; 4] = ["x-request-id", "x-ms-request-id", "x-amz-request-id", "x-github-request-id"];

/// A request that is under way.
///
/// Its event has the target `buildcache::request`, the level `DEBUG` and the fields `backend`, `method`, `url` without
/// user, query and fragment, `sent` in bytes, `milliseconds`, and of an answer `status`, `received` in bytes and `id`,
/// or `error` where none came. Nothing is written unless the program has a subscriber.
#[derive(Debug, Clone)]
pub struct RequestLog {
    backend: &'static str,
    method: String,
    url: String,
    sent: u64,
    start: Instant,
}

impl RequestLog {
    /// Begins the log of a request that is sent now, with a body of `sent` bytes.
    #[must_use]
    pub fn new(backend: &'static str, method: &str, url: &str, sent: u64) -> Self {
        let (method, url) = (method.to_owned(), shown_place(url).into_owned());
        Self { backend, method, url, sent, start: Instant::now() }
    }

    /// Logs an answer, of whatever status; `header` returns the value of a header.
    pub fn answered(self, status: u16, header: impl Fn(&str) -> Option<String>) {
        let id = IDS.iter().find_map(|name| header(name));
        let received = header("content-length").and_then(|length| length.parse().ok());
        self.event(Some(status), received, id.as_deref());
    }

    /// Logs that no answer came; the error of the call tells why.
    pub fn unanswered(self) {
        self.event(None, None, None);
    }

    fn event(&self, status: Option<u16>, received: Option<u64>, id: Option<&str>) {
        let milliseconds = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(
            target: "buildcache::request",
            backend = self.backend,
            method = ?self.method,
            url = ?self.url,
            sent = self.sent,
            milliseconds,
            status,
            received,
            id,
            error = status.is_none().then_some("no answer"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_not_kept() {
        let log = RequestLog::new("azblob", "PUT", "https://me:hush@a.example/c/blob?sv=1&sig=hush#hush", 5);
        assert!(!format!("{log:?}").contains("hush"), "{log:?}");
        assert!(log.url.starts_with("https://REDACTED@a.example/c/blob?"));
    }
}
