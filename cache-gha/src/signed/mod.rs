//! Signed URLs: where the bytes of entries are. Whoever has one may use it, so none is shown or kept.

mod block;
mod entry;
mod read;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use cache_core::kit::{BodyReader, Bounds, Flow, RequestLog, Timeouts};
use cache_core::{BlobStream, Error, Result};
use futures_util::stream::{Stream, StreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderName};
use reqwest::{RequestBuilder, Response};
use url::Url;

pub(crate) use self::block::BlockBlob;
pub(crate) use self::entry::Entry;
pub(crate) use self::read::open;
use crate::client::text;
use crate::{Environment, error};

/// A client without a token.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    timeouts: Timeouts,
    bounds: Bounds,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client, environment: &Environment) -> Self {
        Self { client, timeouts: environment.timeouts(), bounds: environment.bounds() }
    }

    /// Asks for an entry, or a part of it that is not empty.
    async fn get(&self, url: Url, range: Option<(HeaderName, Range<u64>)>, message: &str) -> Result<Response> {
        let request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        let request = match range {
            Some((name, range)) => request.header(name, format!("bytes={}-{}", range.start, range.end - 1)),
            None => request,
        };
        self.send(request, (&Flow::default(), self.timeouts.answer), message).await
    }

    /// Sends a request once, while something moves.
    async fn send(
        &self,
        request: RequestBuilder,
        (flow, limit): (&Flow, Option<Duration>),
        message: &str,
    ) -> Result<Response> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| error::transport(&error, message))?;
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let log = RequestLog::new(crate::KIND, request.method().as_str(), request.url().as_str(), length.unwrap_or(0));
        let sent = flow.unless_stalled(limit, client.execute(request)).await;
        match &sent {
            Some(Ok(response)) => log.answered(response.status().as_u16(), |name| text(response.headers(), name)),
            _ => log.unanswered(),
        }
        match sent {
            Some(sent) => sent.map_err(|error| error::transport(&error, message)),
            None => Err(error::silence(message, limit)),
        }
    }

    /// The error for an answer that is not the wanted one.
    async fn refused(&self, response: Response, message: &'static str) -> Error {
        let (status, headers) = (response.status(), response.headers().clone());
        let reader = self.reader(message).with_limit(self.bounds.error_body);
        let body = reader.read_start(pieces(response, message)).await;
        error::refused(status, &headers, &body, message)
    }

    /// Reads a document of at most `limit` bytes.
    async fn read(&self, response: Response, limit: u64, message: &'static str) -> Result<Bytes> {
        self.reader(message).with_limit(limit).read(pieces(response, message)).await
    }

    /// The bytes of an answer, as they come.
    fn stream(&self, response: Response, message: &'static str) -> BlobStream {
        self.reader(message).stream(pieces(response, message))
    }

    fn reader(&self, message: &'static str) -> BodyReader {
        BodyReader::new(message, self.timeouts.idle, &self.bounds)
    }
}

fn pieces(response: Response, message: &'static str) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    response.bytes_stream().map(move |piece| piece.map_err(|error| error::transport(&error, message)))
}
