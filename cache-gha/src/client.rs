//! Calls with a token, through octocrab: to the cache service, and to GitHub's REST API.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::{BodyReader, Bounds, Flow, MAX_REDIRECTS, Outgoing, RequestLog, Secret, Timeouts, is_downgrade};
use futures_util::stream::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream};
use octocrab::{OctoBody, Octocrab, OctocrabBuilder};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, USER_AGENT};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Method, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::{Environment, KIND, error};

/// The headers of every request.
const AGENT: &str = concat!("buildcache/", env!("CARGO_PKG_VERSION"));
/// A body up to this size is not part of an entry, and the limit for its answer is that of a read.
const SMALL: usize = 64 << 10;

/// The connections of a program to one host. Signed URLs are sent unchanged.
///
/// # Errors
/// If the machine's certificates cannot be read.
pub(crate) fn http(environment: &Environment, host: &Url) -> Result<reqwest::Client> {
    let is_loopback = match host.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let builder = || {
        let mut builder = reqwest::Client::builder().user_agent(AGENT).http1_only();
        // A `Referer` header would show a signed URL to the next host.
        builder = builder.referer(false).redirect(Policy::custom(follow));
        let timeouts = environment.tuning().timeouts();
        if let Some(timeout) = timeouts.connect {
            builder = builder.connect_timeout(timeout);
        }
        if timeouts.idle.is_none() {
            builder = builder.pool_idle_timeout(None);
        }
        if is_loopback { builder.no_proxy() } else { builder }
    };
    let built = match builder().build() {
        // A machine without any certificates can still talk to itself.
        Err(_) if is_loopback => builder().tls_certs_only([]).build(),
        built => built,
    };
    built.map_err(|error| error::transport(&error, "cannot set up the connection"))
}

/// Follows redirects, but never from HTTPS to plain HTTP; `reqwest` drops the token if the host or the port changes.
fn follow(attempt: Attempt<'_>) -> Action {
    match attempt.previous().len() {
        _ if leaves_https(attempt.previous(), attempt.url()) => attempt.stop(),
        0..=MAX_REDIRECTS => attempt.follow(),
        _ => attempt.error("too many redirects"),
    }
}

fn leaves_https(previous: &[Url], next: &Url) -> bool {
    previous.iter().any(|url| is_downgrade(url.scheme(), next.scheme()))
}

/// Calls below one URL.
pub(crate) struct Client {
    /// Opened by the first call, since octocrab needs the runtime.
    crab: OnceCell<Octocrab>,
    http: reqwest::Client,
    url: Url,
    token: Secret,
    headers: Vec<(HeaderName, &'static str)>,
    timeouts: Timeouts,
    bounds: Bounds,
}

/// One call; it can be sent again.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query below the client's URL, starting with a slash.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Bytes,
    /// The message of the error when it fails.
    pub(crate) message: &'static str,
}

/// A successful answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>, message: &'static str) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Bytes::new(), message }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }
}

impl Client {
    pub(crate) fn new(http: reqwest::Client, url: Url, token: Secret, environment: &Environment) -> Self {
        let (timeouts, bounds) = (environment.tuning().timeouts(), environment.tuning().bounds());
        Self { crab: OnceCell::new(), http, url, token, headers: Vec::new(), timeouts, bounds }
    }

    /// Adds a header to every call.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a call once; an answer of any status but 2xx is an error.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply> {
        let (message, mut call) = (call.message, call);
        let size = call.body.len() as u64;
        let part = (call.body.len() > SMALL).then(|| (size, Outgoing::of(std::mem::take(&mut call.body))));
        let limit = if part.is_some() { self.timeouts.idle } else { self.timeouts.answer };
        let flow: Arc<Flow> = part.as_ref().map(|(_, part)| part.flow()).unwrap_or_default();
        let crab =
            self.crab.get_or_try_init(|| async { self.open() }).await.map_err(|error| self.with_context(error))?;
        let log = RequestLog::new(KIND, call.method.as_str(), call.path.split('?').next().unwrap_or_default(), size);
        let request = self.request(call, part).map_err(|error| self.with_context(error))?;
        let execute = async { crab.execute(request).await.map_err(|error| error::transport(&error, message)) };
        let sent = flow.unless_stalled(limit, message, execute).await.flatten();
        match &sent {
            Ok(response) => log.answered(response.status().as_u16(), |name| text(response.headers(), name)),
            Err(_) => log.unanswered(),
        }
        let response = sent.map_err(|error| self.with_context(error))?;
        let answer = self.answer(response, message).await;
        answer.map_err(|error| self.with_context(error))
    }

    /// Reads an answer; one of any status but 2xx is an error.
    async fn answer<B>(&self, response: Response<B>, message: &'static str) -> Result<Reply>
    where
        B: BodyExt<Data = Bytes> + Send,
        B::Error: StdError + 'static,
    {
        let (status, headers) = (response.status(), response.headers().clone());
        let pieces = BodyStream::new(response.into_body()).map(|frame| {
            let frame = frame.map_err(|error| error::transport(&error, message))?;
            Ok(frame.into_data().unwrap_or_default())
        });
        let reader = BodyReader::new(message, self.timeouts.idle, &self.bounds);
        if status.is_success() {
            let body = reader.with_limit(self.bounds.answer).read(pieces).await?;
            return Ok(Reply { status, body });
        }
        let body = reader.with_limit(self.bounds.error_body).read_start(pieces).await;
        Err(error::refused(status, &headers, &body, message))
    }

    /// octocrab without its retries: it would repeat calls that must not be repeated, and ignore `Retry-After`.
    fn open(&self) -> Result<Octocrab> {
        let failed = |error: octocrab::Error| error::transport(&error, "cannot set up the connection");
        // Paths are joined here: octocrab omits the base path if a path happens to begin like it.
        let origin = self.url.origin().ascii_serialization();
        let builder = OctocrabBuilder::new().base_uri(origin).map_err(failed)?;
        let builder = builder.personal_token(self.token.expose().to_owned()).add_header(USER_AGENT, AGENT.to_owned());
        let add = |builder: OctocrabBuilder<_, _, _, _>, (name, value): &(HeaderName, &str)| {
            builder.add_header(name.clone(), (*value).to_owned())
        };
        self.headers.iter().fold(builder, add).build_with_reqwest(self.http.clone()).map_err(failed)
    }

    fn request(&self, call: Call, part: Option<(u64, Outgoing)>) -> Result<Request<OctoBody>> {
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), call.path);
        let mut builder = Request::builder().method(call.method).uri(path);
        for (name, value) in call.headers {
            builder = builder.header(name, value);
        }
        let body = match part {
            Some((size, part)) => {
                builder = builder.header(CONTENT_LENGTH, size);
                OctoBody::new(reqwest::Body::wrap_stream(part))
            }
            None if call.body.is_empty() => OctoBody::empty(),
            None => OctoBody::from(call.body),
        };
        builder.body(body).map_err(|error| {
            // The path may contain the name of a cache; none of it is shown.
            let cause = error.to_string();
            error::new(ErrorKind::InvalidSpec, "the request cannot be made").with("cause", cause)
        })
    }

    /// Adds the host to the context.
    pub(crate) fn with_context(&self, error: Error) -> Error {
        error.with("backend", KIND).with("host", self.url.host_str().unwrap_or_default())
    }
}

/// A header as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_from_https_to_plain_http() {
        let urls = |texts: &[&str]| texts.iter().map(|text| Url::parse(text).unwrap()).collect::<Vec<_>>();
        let leaves_https = |before: &[&str], next: &str| leaves_https(&urls(before), &Url::parse(next).unwrap());
        assert!(leaves_https(&["https://h/a"], "http://h/a"));
        assert!(leaves_https(&["http://h/a", "https://h/a"], "http://other/a"));
        assert!(!leaves_https(&["http://h/a"], "http://h/b") && !leaves_https(&["http://h/a"], "https://h/b"));
    }
}
