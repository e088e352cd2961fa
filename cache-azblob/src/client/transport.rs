//! The transport of the service: HTTP with timeouts for stalls, and errors without the signed URL.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use bytes::Bytes;
use cache_kit::{BodyReader, Bounds, Flow, Outgoing, RequestLog, Timeouts};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap};

use crate::error::root_cause;

/// The message for an answer that breaks off.
const NO_WHOLE_ANSWER: &str = "no whole answer";

/// The server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// It uses TLS.
    pub(crate) is_encrypted: bool,
    /// It is this machine, or a link-local address: no proxy leads there.
    pub(crate) is_near: bool,
}

/// The connections to one account.
pub(crate) struct Connections {
    http: reqwest::Client,
    timeouts: Timeouts,
    bounds: Bounds,
}

impl Connections {
    /// Prepares the connections; none is opened.
    pub(crate) fn new(timeouts: Timeouts, bounds: Bounds, peer: Peer) -> reqwest::Result<Self> {
        let mut builder = reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none());
        if let Some(connect) = timeouts.connect {
            builder = builder.connect_timeout(connect);
        }
        if timeouts.idle.is_none() {
            builder = builder.pool_idle_timeout(None);
        }
        // To read the system's certificates takes time, and there may be none.
        if !peer.is_encrypted {
            builder = builder.tls_certs_only([]);
        }
        if peer.is_near {
            builder = builder.no_proxy();
        }
        Ok(Self { http: builder.build()?, timeouts, bounds })
    }

    async fn send(&self, request: &Request) -> azure_core::Result<reqwest::Response> {
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes())
            .map_err(|error| azure_core::Error::with_error(ErrorKind::Other, error, "no method of HTTP"))?;
        let mut sending = self.http.request(method, request.url().clone()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        let (limit, flow): (_, Arc<Flow>) = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => {
                sending = sending.body(Bytes::new());
                (self.timeouts.answer, Arc::default())
            }
            Body::Bytes(bytes) => {
                let has_length = request.headers().iter().any(|(name, _)| name.as_str() == CONTENT_LENGTH.as_str());
                sending = if has_length { sending } else { sending.header(CONTENT_LENGTH, bytes.len()) };
                let body = Outgoing::of(bytes.clone());
                let flow = body.flow();
                sending = sending.body(reqwest::Body::wrap_stream(body));
                (self.timeouts.idle, flow)
            }
            Body::SeekableStream(_) => {
                return Err(azure_core::Error::with_message(ErrorKind::Other, "no body is sent as a stream"));
            }
        };
        let length = if let Body::Bytes(bytes) = request.body() { bytes.len() as u64 } else { 0 };
        let log = RequestLog::new(crate::KIND, request.method().as_ref(), request.url().as_str(), length);
        let sent = flow.unless_stalled(limit, NO_WHOLE_ANSWER, sending.send()).await;
        logged(log, &sent);
        sent.map_err(carrying)?.map_err(broken)
    }
}

/// Logs the outcome of a request.
fn logged(log: RequestLog, sent: &cache_core::Result<reqwest::Result<reqwest::Response>>) {
    match sent {
        Ok(Ok(response)) => log.answered(response.status().as_u16(), |name| {
            response.headers().get(name)?.to_str().ok().map(str::to_owned)
        }),
        _ => log.unanswered(),
    }
}

#[async_trait]
impl HttpClient for Connections {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.send(request).await?;
        let status = response.status();
        let headers = headers_of(response.headers());
        let body = response.bytes_stream().map_err(|error| carried(&broken(error)));
        let reader = BodyReader::new(NO_WHOLE_ANSWER, self.timeouts.idle, &self.bounds);
        let pieces: Pieces = if !status.is_success() {
            let start = reader.with_limit(self.bounds.error_body).read_start(body).await;
            stream::iter([Ok(start)]).boxed()
        } else if is_for_a_blob(request) {
            reader.stream(body).map_err(carrying).boxed()
        } else {
            reader.with_limit(self.bounds.answer).stream(body).map_err(carrying).boxed()
        };
        Ok(AsyncRawResponse::new(status.as_u16().into(), headers, pieces))
    }
}

type Pieces = stream::BoxStream<'static, azure_core::Result<Bytes>>;

/// Blobs are read by range, and nothing else is; the reader of a blob knows its size.
fn is_for_a_blob(request: &Request) -> bool {
    request.headers().iter().any(|(name, _)| matches!(name.as_str(), "range" | "x-ms-range"))
}

/// Wraps an error of the connection, for the core's reader.
fn carried(error: &azure_core::Error) -> cache_core::Error {
    cache_core::Error::new(cache_core::ErrorKind::Unavailable, NO_WHOLE_ANSWER).with("cause", root_cause(error))
}

/// Wraps an error of the core, for the SDK.
fn carrying(error: cache_core::Error) -> azure_core::Error {
    azure_core::Error::with_error(ErrorKind::Io, error, NO_WHOLE_ANSWER)
}

/// Headers that are not text are left out.
fn headers_of(map: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    headers
}

/// The error of a request without a complete answer. Its URL may be signed, and is left out.
fn broken(error: reqwest::Error) -> azure_core::Error {
    let kind = if error.is_connect() { ErrorKind::Connection } else { ErrorKind::Io };
    azure_core::Error::with_error(kind, error.without_url(), NO_WHOLE_ANSWER)
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
