//! Calls with a token, through octocrab: to the cache service, and to GitHub's REST API.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cache_core::kit::{Flow, Outgoing, RequestLog, Timeouts};
use cache_core::spec::Secret;
use cache_core::{Error, ErrorKind, Result};
use http::{Request, Response};
use http_body_util::BodyExt;
use octocrab::{OctoBody, Octocrab, OctocrabBuilder};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, USER_AGENT};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Method, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::Environment;
use crate::error;
use crate::sending::outgoing;

/// What every request says of itself.
const AGENT: &str = concat!("buildcache/", env!("CARGO_PKG_VERSION"));
/// How much of an answer is read; a page of a list is the largest one.
const MOST_READ: usize = 4 << 20;
/// Up to this size a body is no part of an entry, and its answer is that to a question.
const SMALL: usize = 64 << 10;
/// How many redirects in a row are followed.
const REDIRECTS: usize = 10;

/// The connections of a program to one host; URLs that are signed go through it as they are.
///
/// # Errors
/// When the machine's certificates cannot be read.
pub(crate) fn http(environment: &Environment, host: &Url) -> Result<reqwest::Client> {
    let is_loopback = match host.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let builder = || {
        let mut builder = reqwest::Client::builder().user_agent(AGENT).http1_only();
        // A `Referer` would tell the next host a signed URL.
        builder = builder.referer(false).redirect(Policy::custom(follow));
        let timeouts = environment.timeouts();
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

/// Follows redirects, but never from HTTPS to plain HTTP; `reqwest` takes the token off where the host or the port changes.
fn follow(attempt: Attempt<'_>) -> Action {
    let is_downgrade = attempt.url().scheme() == "http" && attempt.previous().iter().any(|url| url.scheme() == "https");
    match attempt.previous().len() {
        _ if is_downgrade => attempt.stop(),
        0..=REDIRECTS => attempt.follow(),
        _ => attempt.error("too many redirects"),
    }
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
}

/// One call; it can be sent again.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query below the client's URL, starting with a slash.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Bytes,
    /// What is said when it fails.
    pub(crate) message: &'a str,
}

/// A good answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: impl Into<String>, message: &'a str) -> Self {
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
    pub(crate) fn new(http: reqwest::Client, url: Url, token: Secret, timeouts: Timeouts) -> Self {
        Self { crab: OnceCell::new(), http, url, token, headers: Vec::new(), timeouts }
    }

    /// Adds a header to every call.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends a call once; an answer of any status but 2xx is an error.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Reply> {
        let (message, mut call) = (call.message, call);
        let size = call.body.len() as u64;
        let part = (call.body.len() > SMALL).then(|| (size, outgoing(std::mem::take(&mut call.body))));
        let limit = if part.is_some() { self.timeouts.idle } else { self.timeouts.answer };
        let flow: Arc<Flow> = part.as_ref().map(|(_, part)| part.flow()).unwrap_or_default();
        let crab = self.crab.get_or_try_init(|| async { self.open() }).await.map_err(|error| self.about(error))?;
        let log =
            RequestLog::new(crate::KIND, call.method.as_str(), call.path.split('?').next().unwrap_or_default(), size);
        let request = self.request(call, part).map_err(|error| self.about(error))?;
        let exchange = async {
            let response = crab.execute(request).await.map_err(|error| error::transport(&error, message))?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, read(response, message).await?))
        };
        let exchanged = flow.unless_stalled(limit, exchange).await;
        match &exchanged {
            Some(Ok((status, headers, _))) => log.answered(status.as_u16(), |name| text(headers, name)),
            _ => log.unanswered(),
        }
        let Some(exchanged) = exchanged else {
            return Err(self.about(error::silence(message, limit)));
        };
        let (status, headers, body): (StatusCode, HeaderMap, Bytes) =
            exchanged.map_err(|error: Error| self.about(error))?;
        if status.is_success() {
            return Ok(Reply { status, body });
        }
        Err(self.about(error::refused(status, &headers, &body, message)))
    }

    /// octocrab without its retries: it would repeat what must not be repeated, and drop `Retry-After`.
    fn open(&self) -> Result<Octocrab> {
        let failed = |error: octocrab::Error| error::transport(&error, "cannot set up the connection");
        // Paths are joined here: octocrab leaves the base path out where a path happens to begin like it.
        let origin = self.url.origin().ascii_serialization();
        let builder = OctocrabBuilder::new().base_uri(origin).map_err(failed)?;
        let builder = builder.personal_token(self.token.expose().to_owned()).add_header(USER_AGENT, AGENT.to_owned());
        let add = |builder: OctocrabBuilder<_, _, _, _>, (name, value): &(HeaderName, &str)| {
            builder.add_header(name.clone(), (*value).to_owned())
        };
        self.headers.iter().fold(builder, add).build_with_reqwest(self.http.clone()).map_err(failed)
    }

    fn request(&self, call: Call<'_>, part: Option<(u64, Outgoing)>) -> Result<Request<OctoBody>> {
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
            // The path has a name of a cache in it at most; none of it is shown.
            let cause = error.to_string();
            error::new(ErrorKind::InvalidSpec, "the request cannot be made").with("cause", cause)
        })
    }

    /// Names the host.
    pub(crate) fn about(&self, error: Error) -> Error {
        error.with("host", self.url.host_str().unwrap_or_default())
    }
}

/// A header as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

async fn read<B>(response: Response<B>, message: &str) -> Result<Bytes>
where
    B: BodyExt<Data = Bytes> + Unpin,
    B::Error: StdError + 'static,
{
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error::transport(&error, message))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |piece| piece));
        if bytes.len() > MOST_READ {
            let error = error::new(ErrorKind::LimitExceeded, message).with("cause", "the answer is too long");
            return Err(error.with("limit", MOST_READ));
        }
    }
    Ok(bytes.freeze())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}
