//! Requests to one repository, with authorization, bounded waits and the registry's own words in every error.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cache_core::{Digest, Error, ErrorKind, Result, RetryPolicy, Silent, within};
use futures_util::future::{Either, select};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::auth::{Auth, Scopes};
use crate::body::{Flow, Part};
use crate::config::RegistryConfig;
use crate::connection::Connection;
use crate::error;

/// The digest that a registry says its answer has.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A client of one repository; nothing is opened before the first request.
pub(crate) struct Client {
    config: RegistryConfig,
    session: Arc<Session>,
}

/// What everybody shares who talks to the repository.
struct Session {
    auth: Auth,
    connection: OnceCell<Connection>,
}

/// A request that can be sent again: it has no body, or one at hand.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    method: Method,
    url: Url,
    scopes: &'a Scopes,
    headers: HeaderMap,
    body: Bytes,
    /// What is said when it fails.
    message: &'static str,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url, scopes: &'a Scopes, message: &'static str) -> Self {
        Self { method, url, scopes, headers: HeaderMap::new(), body: Bytes::new(), message }
    }

    pub(crate) fn accept(self, types: &str) -> Self {
        self.header(ACCEPT, types)
    }

    /// A value that is no header is left out: media types come from documents, which hold anything.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn body(self, media_type: &str, body: Bytes) -> Self {
        Self { body, ..self }.content_type(media_type)
    }

    pub(crate) fn content_type(self, media_type: &str) -> Self {
        self.header(CONTENT_TYPE, media_type)
    }
}

impl Client {
    pub(crate) fn new(config: RegistryConfig) -> Self {
        let auth = Auth::new(config.parsed().clone(), config.environment().clone());
        Self { config, session: Arc::new(Session { auth, connection: OnceCell::new() }) }
    }

    /// The same repository and session, looking at one manifest.
    pub(crate) fn at_digest(&self, digest: Digest) -> Self {
        let config = self.config.at(self.config.parsed().at_digest(digest));
        Self { config, session: Arc::clone(&self.session) }
    }

    pub(crate) fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// A URL below this repository.
    pub(crate) async fn url(&self, path: &str) -> Result<Url> {
        let repository = self.config.parsed().repository();
        let joined = self.connection().await?.base.join(&format!("{repository}/{path}"));
        joined.map_err(|error| self.about(error::new(ErrorKind::InvalidSpec, "bad repository").with_source(error)))
    }

    /// Sends a request, answering a challenge once; any status is an answer.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response> {
        let connection = self.connection().await?;
        let is_ours = self.is_ours(connection, &request.url);
        let used = if is_ours { self.session.auth.header(&connection.http, request.scopes).await } else { Ok(None) };
        let used = used.map_err(|error| self.about(error))?;
        let response = self.send_once(connection, &request, used.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !is_ours {
            return Ok(response);
        }
        let asked = (request.scopes, used.as_ref());
        let fresh = self.session.auth.challenged(&connection.http, response.headers(), asked).await;
        match fresh.map_err(|error| self.about(error))? {
            Some(fresh) => self.send_once(connection, &request, Some(&fresh)).await,
            None => Ok(response),
        }
    }

    /// Sends a stream once, which cannot be done twice; the wait is for a moment in which nothing moves.
    pub(crate) async fn upload(&self, request: Request<'_>, part: Part) -> Result<Response> {
        let Request { method, url, scopes, headers, message, .. } = request;
        let connection = self.connection().await?;
        let is_ours = self.is_ours(connection, &url);
        let used = if is_ours { self.session.auth.header(&connection.http, scopes).await } else { Ok(None) };
        let length = part.length();
        let (body, flow) = part.into_body();
        let mut sending = connection.http.request(method, url).headers(headers);
        sending = sending.header(CONTENT_LENGTH, length).body(body);
        if let Some(header) = used.map_err(|error| self.about(error))? {
            sending = sending.header(AUTHORIZATION, header);
        }
        let sent = unless_stalled(self.idle_timeout(), &flow, sending.send()).await;
        if let Some(error) = flow.take_failure() {
            return Err(error);
        }
        match sent {
            Some(sent) => sent.map_err(|error| self.about(error::transport(error, message))),
            None => Err(self.about(error::stalled(message, self.idle_timeout().unwrap_or_default()))),
        }
    }

    async fn send_once(
        &self,
        connection: &Connection,
        request: &Request<'_>,
        auth: Option<&HeaderValue>,
    ) -> Result<Response> {
        let Request { method, url, headers, body, message, .. } = request;
        let mut sending = connection.http.request(method.clone(), url.clone()).headers(headers.clone());
        if !body.is_empty() || matches!(*method, Method::POST | Method::PUT) {
            sending = sending.header(CONTENT_LENGTH, body.len()).body(body.clone());
        }
        if let Some(auth) = auth {
            sending = sending.header(AUTHORIZATION, auth);
        }
        match within(self.idle_timeout(), sending.send()).await {
            Some(sent) => sent.map_err(|error| self.about(error::transport(error, message))),
            None => Err(self.about(error::stalled(message, self.idle_timeout().unwrap_or_default()))),
        }
    }

    /// Reads a document of at most `limit` bytes.
    pub(crate) async fn read(&self, mut response: Response, limit: u64, message: &'static str) -> Result<Bytes> {
        let idle = self.idle_timeout();
        let mut body = BytesMut::new();
        loop {
            let Some(piece) = within(idle, response.chunk()).await else {
                return Err(self.about(error::stalled(message, idle.unwrap_or_default())));
            };
            let piece = piece.map_err(|error| self.about(error::transport(error, message)))?;
            let Some(piece) = piece else { return Ok(body.freeze()) };
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                let error = error::new(ErrorKind::LimitExceeded, "document is too large to read").with("limit", limit);
                return Err(self.about(error));
            }
        }
    }

    /// The error for an answer that is not the wanted one.
    pub(crate) async fn refused(&self, response: Response, message: &str) -> Error {
        self.about(error::refused(response, message, self.idle_timeout()).await)
    }

    /// The error for an answer to HEAD, which has no body: the same question as GET has one.
    pub(crate) async fn refused_head(&self, response: Response, request: Request<'_>) -> Error {
        let (message, status) = (request.message, response.status());
        match self.send(Request { method: Method::GET, ..request }).await {
            Ok(again) if again.status() == status => self.refused(again, message).await,
            _ => self.refused(response, message).await,
        }
    }

    /// Tries again what may succeed later; for calls that the core's export loop does not try again.
    pub(crate) async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        // What was tried often enough here is not tried again above.
        self.retry().run(&Silent, call).await.map_err(|error| error.with_retryable(false))
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.config.environment().retry()
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.config.environment().idle_timeout()
    }

    /// Names the backend and the reference.
    pub(crate) fn about(&self, error: Error) -> Error {
        error.with("backend", crate::KIND).with("ref", self.config.parsed())
    }

    async fn connection(&self) -> Result<&Connection> {
        let open = || Connection::open(&self.config);
        self.session.connection.get_or_try_init(open).await.map_err(|error| self.about(error))
    }

    /// Whether a URL is the registry's own: an upload may go to another host, which gets no authorization.
    fn is_ours(&self, connection: &Connection, url: &Url) -> bool {
        url.origin() == connection.base.origin()
    }
}

/// What the future gives, unless neither it nor the body moves for too long; a slow source is waited for.
async fn unless_stalled<T>(idle: Option<Duration>, flow: &Flow, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let Some(idle) = idle else { return Some(future.await) };
    let mut seen = flow.moved();
    loop {
        match select(future.as_mut(), pin!(tokio::time::sleep(idle))).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right(_) if flow.moved() == seen && !flow.is_source_slow() => return None,
            Either::Right(_) => seen = flow.moved(),
        }
    }
}

/// The digest that the answer says it has, when it says one that can be read.
pub(crate) fn digest_of(response: &Response) -> Option<Digest> {
    response.headers().get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

/// The length that the answer says, also one to HEAD.
pub(crate) fn length_of(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
