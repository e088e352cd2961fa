//! Requests to one repository, with authorization, timeouts, and the registry's message in every error.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{BlobStream, Digest, Error, ErrorKind, Result};
use cache_kit::{MAX_REDIRECTS, RequestLog, Timeouts, Tuning, answered};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::answer::{Reading, encoding_of};
use crate::auth::{Asked, Auth, Scopes};
use crate::body::Part;
use crate::config::RegistryConfig;
use crate::connection::Connection;
use crate::{error, redirect, refusal};

/// The digest of an answer, by the registry.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A client of one repository; nothing is opened before the first request.
pub(crate) struct Client {
    config: RegistryConfig,
    session: Arc<Session>,
}

/// The state that all clients of the repository share.
struct Session {
    auth: Auth,
    connection: OnceCell<Connection>,
}

/// A request that can be sent again: it has no body, or one in memory.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    method: Method,
    url: Url,
    scopes: &'a Scopes,
    headers: HeaderMap,
    body: Bytes,
    /// The message of the error when it fails.
    message: &'static str,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url, scopes: &'a Scopes, message: &'static str) -> Self {
        Self { method, url, scopes, headers: HeaderMap::new(), body: Bytes::new(), message }
    }

    pub(crate) fn accept(self, types: &str) -> Self {
        self.header(ACCEPT, types)
    }

    /// A value that cannot be a header is left out: media types come from documents, which may contain anything.
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

    /// The same repository and session, for one manifest.
    pub(crate) fn at_digest(&self, digest: Digest) -> Self {
        let config = self.config.at(self.config.parsed().at_digest(digest));
        Self { config, session: Arc::clone(&self.session) }
    }

    /// The same repository and session, for one tag.
    pub(crate) fn at_tag(&self, tag: &str) -> Self {
        let config = self.config.at(self.config.parsed().at_tag(tag));
        Self { config, session: Arc::clone(&self.session) }
    }

    pub(crate) fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// A URL below this repository.
    pub(crate) async fn url(&self, path: &str) -> Result<Url> {
        let repository = self.config.parsed().repository();
        let joined = self.connection().await?.base.join(&format!("{repository}/{path}"));
        joined
            .map_err(|error| self.with_context(error::new(ErrorKind::InvalidSpec, "bad repository").with_source(error)))
    }

    /// The URL by which a registry tells that it is one, and whether a login is accepted.
    pub(crate) async fn base(&self) -> Result<Url> {
        Ok(self.connection().await?.base.clone())
    }

    /// Whether the registry has asked for a login.
    pub(crate) fn was_asked(&self) -> bool {
        self.session.auth.was_asked()
    }

    /// Sends a request, answering a challenge once; any status is an answer.
    ///
    /// A credential is sent only to the registry's own origin, and only its own challenge is answered. The target of a
    /// redirect gets none, and neither does the registry itself once a redirect has led back to it.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response> {
        let connection = self.connection().await?;
        let used = self.authorization(connection, &request.url, request.scopes).await?;
        let response = self.send_once(connection, &request, used.as_ref()).await?;
        let is_asked = response.status() == StatusCode::UNAUTHORIZED && self.is_ours(connection, response.url());
        if !is_asked || !self.is_ours(connection, &request.url) {
            return Ok(response);
        }
        let asked = Asked { base: &connection.base, headers: response.headers(), scopes: request.scopes };
        let fresh = self.session.auth.challenged(&connection.http, asked, used.as_ref()).await;
        match fresh.map_err(|error| self.with_context(error))? {
            Some(fresh) => self.send_once(connection, &request, Some(&fresh)).await,
            None => Ok(response),
        }
    }

    /// Sends a stream, which cannot be sent again; the time limit is for stalls.
    ///
    /// A redirect is returned: the stream has to be opened again for it.
    pub(crate) async fn upload(&self, request: Request<'_>, part: Part) -> Result<Response> {
        let Request { method, url, scopes, headers, message, .. } = request;
        let connection = self.connection().await?;
        let used = self.authorization(connection, &url, scopes).await?;
        let (length, outgoing) = (part.length(), part.into_outgoing());
        let flow = outgoing.flow();
        let log = RequestLog::new(crate::KIND, method.as_str(), url.as_str(), length);
        let mut sending = connection.http.request(method, url).headers(headers);
        sending = sending.header(CONTENT_LENGTH, length).body(Body::wrap_stream(outgoing));
        if let Some(header) = used {
            sending = sending.header(AUTHORIZATION, header);
        }
        let sent = flow.unless_stalled(self.timeouts().idle, message, sending.send()).await;
        logged(log, &sent);
        if let Some(error) = flow.take_failure() {
            return Err(error);
        }
        self.answered(sent, message)
    }

    /// The header for a request to `url`; `None` unless that is the registry itself.
    async fn authorization(&self, connection: &Connection, url: &Url, scopes: &Scopes) -> Result<Option<HeaderValue>> {
        if !self.is_ours(connection, url) {
            return Ok(None);
        }
        let header = self.session.auth.header(&connection.http, &connection.base, scopes).await;
        header.map_err(|error| self.with_context(error))
    }

    /// Sends a request, and follows redirects.
    async fn send_once(
        &self,
        connection: &Connection,
        request: &Request<'_>,
        auth: Option<&HeaderValue>,
    ) -> Result<Response> {
        let (mut url, mut auth) = (request.url.clone(), auth);
        for _ in 0..=MAX_REDIRECTS {
            auth = auth.filter(|_| self.is_ours(connection, &url));
            let response = self.send_to(connection, &url, request, auth).await?;
            match redirect::target(&response, &request.method) {
                Some(target) => url = target,
                None => return Ok(response),
            }
        }
        Err(self.with_context(redirect::endless(request.message)))
    }

    async fn send_to(
        &self,
        connection: &Connection,
        url: &Url,
        request: &Request<'_>,
        auth: Option<&HeaderValue>,
    ) -> Result<Response> {
        let Request { method, headers, body, message, .. } = request;
        let mut sending = connection.http.request(method.clone(), url.clone()).headers(headers.clone());
        if !body.is_empty() || matches!(*method, Method::POST | Method::PUT) {
            sending = sending.header(CONTENT_LENGTH, body.len()).body(body.clone());
        }
        if let Some(auth) = auth {
            sending = sending.header(AUTHORIZATION, auth);
        }
        // A write may take the registry a while; a read is answered at once.
        let is_question = matches!(*method, Method::GET | Method::HEAD);
        let limit = if is_question { self.timeouts().answer } else { self.timeouts().idle };
        let log = RequestLog::new(crate::KIND, method.as_str(), url.as_str(), body.len() as u64);
        let sent = answered(limit, message, sending.send()).await;
        logged(log, &sent);
        self.answered(sent, message)
    }

    fn answered(&self, sent: Result<reqwest::Result<Response>>, message: &str) -> Result<Response> {
        let answer = sent.and_then(|sent| sent.map_err(|error| error::transport(error, message)));
        answer.map_err(|error| self.with_context(error))
    }

    /// Reads a document of at most `limit` bytes.
    pub(crate) async fn read(&self, response: Response, limit: u64, message: &'static str) -> Result<Bytes> {
        self.reading(message).read(response, limit).await.map_err(|error| self.with_context(error))
    }

    /// The bytes of an answer as they come.
    pub(crate) fn stream(&self, response: Response, message: &'static str) -> BlobStream {
        self.reading(message).stream(response)
    }

    fn reading(&self, message: &'static str) -> Reading<'_> {
        Reading { tuning: self.tuning(), message }
    }

    /// The error for an answer that is not the wanted one.
    ///
    /// An error of the registry itself about the login has the source of the login.
    pub(crate) async fn refused(&self, response: Response, message: &str) -> Error {
        let is_own = match self.connection().await {
            Ok(connection) => self.is_ours(connection, response.url()),
            Err(_) => false,
        };
        let host = response.url().host_str().unwrap_or_default().to_owned();
        let error = refusal::refused(response, message, self.tuning()).await;
        self.with_context(if is_own { self.session.auth.explain(error) } else { elsewhere(error, &host) })
    }

    /// The error for an answer to HEAD, which has no body: the request is repeated as GET, whose answer has one.
    pub(crate) async fn refused_head(&self, response: Response, request: Request<'_>) -> Error {
        let (message, status) = (request.message, response.status());
        match self.send(Request { method: Method::GET, ..request }).await {
            Ok(again) if again.status() == status => self.refused(again, message).await,
            _ => self.refused(response, message).await,
        }
    }

    /// Repeats a call whose error may pass; for calls that the export loop does not retry.
    pub(crate) async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.tuning().retry().run_final(self.config.environment().listener(), call).await
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        self.config.environment().tuning()
    }

    fn timeouts(&self) -> Timeouts {
        self.tuning().timeouts()
    }

    /// Adds the backend and the reference to the context.
    pub(crate) fn with_context(&self, error: Error) -> Error {
        error.with("backend", crate::KIND).with("ref", self.config.parsed())
    }

    async fn connection(&self) -> Result<&Connection> {
        let open = || Connection::open(&self.config);
        self.session.connection.get_or_try_init(open).await.map_err(|error| self.with_context(error))
    }

    /// Whether a URL is the registry's own: an upload may go to another host, which gets no authorization.
    fn is_ours(&self, connection: &Connection, url: &Url) -> bool {
        url.origin() == connection.base.origin()
    }
}

/// Adds to a refusal which server refused: a server that the registry redirects to is sent no credential.
fn elsewhere(error: Error, host: &str) -> Error {
    let error = error.with("host", host);
    match error.kind() {
        ErrorKind::Unauthenticated => error
            .with_hint("the registry has redirected the request to this host, which is sent no login of the registry"),
        _ => error,
    }
}

/// Logs the outcome of a request.
fn logged(log: RequestLog, sent: &Result<reqwest::Result<Response>>) {
    match sent {
        Ok(Ok(response)) => log.answered(response.status().as_u16(), |name| {
            response.headers().get(name)?.to_str().ok().map(str::to_owned)
        }),
        _ => log.unanswered(),
    }
}

/// The digest in the answer's header, if it is valid.
pub(crate) fn digest_of(response: &Response) -> Option<Digest> {
    response.headers().get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

/// The length of the answer's body, or of that to a GET; `None` for an encoded one.
pub(crate) fn length_of(response: &Response) -> Option<u64> {
    let length = response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    length.filter(|_| encoding_of(response).is_identity())
}

/// The length in the answer to a HEAD. Some proxies lose it and send 0, so 0 counts as unknown.
pub(crate) fn told_length(response: &Response) -> Option<u64> {
    length_of(response).filter(|&length| length > 0)
}
