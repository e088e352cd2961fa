//! The way to the service: HTTP with waits that end when nothing moves, and errors that do not hold the signed URL.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use bytes::Bytes;
use cache_core::kit::{BodyReader, Bounds, RequestLog};
use futures_util::future::{Either, select};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap};

use crate::error::root_cause;

/// What is said of an answer that is not read to its end.
const NO_WHOLE_ANSWER: &str = "no whole answer";
/// What is sent at once: whether a body moves is seen piece by piece.
const PIECE: usize = 64 << 10;

/// Who is on the other side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// It is spoken to over TLS.
    pub(crate) is_encrypted: bool,
    /// It is this machine, or what is beside it: no proxy leads there.
    pub(crate) is_near: bool,
}

/// The connections to one account.
pub(crate) struct Connections {
    http: reqwest::Client,
    idle: Option<Duration>,
    bounds: Bounds,
}

impl Connections {
    /// Prepares the connections; none is opened.
    pub(crate) fn new(
        connect: Option<Duration>,
        idle: Option<Duration>,
        peer: Peer,
        bounds: Bounds,
    ) -> reqwest::Result<Self> {
        let mut builder = reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none());
        if let Some(connect) = connect {
            builder = builder.connect_timeout(connect);
        }
        if idle.is_none() {
            builder = builder.pool_idle_timeout(None);
        }
        // To read the system's certificates takes time, and there may be none.
        if !peer.is_encrypted {
            builder = builder.tls_certs_only([]);
        }
        if peer.is_near {
            builder = builder.no_proxy();
        }
        Ok(Self { http: builder.build()?, idle, bounds })
    }

    async fn send(&self, request: &Request) -> azure_core::Result<reqwest::Response> {
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes())
            .map_err(|error| azure_core::Error::with_error(ErrorKind::Other, error, "no method of HTTP"))?;
        let mut sending = self.http.request(method, request.url().clone()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        let moved = Arc::new(AtomicU64::new(0));
        sending = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => sending.body(Bytes::new()),
            Body::Bytes(bytes) => {
                let has_length = request.headers().iter().any(|(name, _)| name.as_str() == CONTENT_LENGTH.as_str());
                let sending = if has_length { sending } else { sending.header(CONTENT_LENGTH, bytes.len()) };
                sending.body(reqwest::Body::wrap_stream(watched(bytes.clone(), Arc::clone(&moved))))
            }
            Body::SeekableStream(_) => {
                return Err(azure_core::Error::with_message(ErrorKind::Other, "no body is sent as a stream"));
            }
        };
        let length = if let Body::Bytes(bytes) = request.body() { bytes.len() as u64 } else { 0 };
        let log = RequestLog::new(crate::KIND, request.method().as_ref(), request.url().as_str(), length);
        let sent = unless_stalled(self.idle, &moved, sending.send()).await;
        logged(log, sent.as_ref());
        match sent {
            Some(sent) => sent.map_err(broken),
            None => Err(stalled(self.idle)),
        }
    }
}

/// Tells whoever reads logs what came of a request.
fn logged(log: RequestLog, sent: Option<&reqwest::Result<reqwest::Response>>) {
    match sent {
        Some(Ok(response)) => log.answered(response.status().as_u16(), |name| {
            response.headers().get(name)?.to_str().ok().map(str::to_owned)
        }),
        _ => log.unanswered(),
    }
}

/// The bytes in pieces, counted as the connection takes them.
fn watched(bytes: Bytes, moved: Arc<AtomicU64>) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((bytes, moved), |(mut bytes, moved)| async move {
        if bytes.is_empty() {
            return None;
        }
        moved.fetch_add(1, Ordering::Relaxed);
        let piece = bytes.split_to(PIECE.min(bytes.len()));
        Some((Ok(piece), (bytes, moved)))
    })
}

/// What the future gives, unless neither it nor the body moves for too long.
async fn unless_stalled<T>(idle: Option<Duration>, moved: &AtomicU64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let Some(idle) = idle else { return Some(future.await) };
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        match select(future.as_mut(), pin!(tokio::time::sleep(idle))).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right(_) if moved.load(Ordering::Relaxed) == seen => return None,
            Either::Right(_) => seen = moved.load(Ordering::Relaxed),
        }
    }
}

#[async_trait]
impl HttpClient for Connections {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.send(request).await?;
        let status = response.status();
        let headers = headers_of(response.headers());
        let body = response.bytes_stream().map_err(|error| carried(&broken(error)));
        let reader = BodyReader::new(NO_WHOLE_ANSWER, self.idle, &self.bounds);
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

/// Blobs are always asked for by a range, and nothing else is; whoever reads one knows how long it is.
fn is_for_a_blob(request: &Request) -> bool {
    request.headers().iter().any(|(name, _)| matches!(name.as_str(), "range" | "x-ms-range"))
}

/// The error of the connection on its way through the core's reader.
fn carried(error: &azure_core::Error) -> cache_core::Error {
    cache_core::Error::new(cache_core::ErrorKind::Unavailable, NO_WHOLE_ANSWER).with("cause", root_cause(error))
}

/// An error of the core on its way through the SDK.
fn carrying(error: cache_core::Error) -> azure_core::Error {
    azure_core::Error::with_error(ErrorKind::Io, error, NO_WHOLE_ANSWER)
}

/// A header that is no text is left out.
fn headers_of(map: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    headers
}

/// A request that got no whole answer. Its URL may be signed and is left out.
fn broken(error: reqwest::Error) -> azure_core::Error {
    let kind = if error.is_connect() { ErrorKind::Connection } else { ErrorKind::Io };
    azure_core::Error::with_error(kind, error.without_url(), NO_WHOLE_ANSWER)
}

fn stalled(idle: Option<Duration>) -> azure_core::Error {
    let seconds = idle.unwrap_or_default().as_secs_f32();
    azure_core::Error::with_message(ErrorKind::Io, format!("nothing has moved for {seconds} s"))
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("idle", &self.idle).finish_non_exhaustive()
    }
}
