//! Reads and writes the content of entries at signed URLs. A signed URL is a credential: none is shown or stored.

mod block;
mod entry;
mod read;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::{BodyReader, ContentEncoding, ContentRange, Flow, RangeAnswer, RequestLog, Tuning};
use futures_util::stream::{Stream, StreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderName};
use reqwest::{RequestBuilder, Response};
use url::Url;

pub(crate) use self::block::BlockBlob;
pub(crate) use self::entry::Entry;
pub(crate) use self::read::open;
use crate::client::text;
use crate::{KIND, error};

/// The client without a token.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    tuning: Tuning,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client, tuning: Tuning) -> Self {
        Self { client, tuning }
    }

    /// Requests an entry, or a non-empty part of it.
    async fn get(&self, url: Url, range: Option<(HeaderName, Range<u64>)>, message: &str) -> Result<Response> {
        let request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        let request = match range {
            Some((name, range)) => request.header(name, format!("bytes={}-{}", range.start, range.end - 1)),
            None => request,
        };
        self.send(request, &Flow::default(), self.tuning.timeouts().answer, message).await
    }

    /// Sends a request once, while something moves.
    async fn send(
        &self,
        request: RequestBuilder,
        flow: &Flow,
        limit: Option<Duration>,
        message: &str,
    ) -> Result<Response> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| error::transport(&error, message))?;
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let log = RequestLog::new(KIND, request.method().as_str(), request.url().as_str(), length.unwrap_or(0));
        let sent = flow.unless_stalled(limit, message, client.execute(request)).await;
        match &sent {
            Ok(Ok(response)) => log.answered(response.status().as_u16(), |name| text(response.headers(), name)),
            _ => log.unanswered(),
        }
        sent.map_err(|error| error.with("backend", KIND))?.map_err(|error| error::transport(&error, message))
    }

    /// The error for an answer that is not the wanted one.
    async fn refused(&self, response: Response, message: &'static str) -> Error {
        let (status, headers) = (response.status(), response.headers().clone());
        let reader = self.reader(message).with_limit(self.tuning.bounds().error_body);
        let body = reader.read_start(pieces(response, message)).await;
        error::refused(status, &headers, &body, message)
    }

    /// Reads a document of at most `limit` bytes.
    async fn read(&self, response: Response, limit: u64, message: &'static str) -> Result<Bytes> {
        let (encoding, promised) = (encoding_of(&response), length_of(&response));
        let document = self.reader(message).with_limit(limit).read(pieces(response, message)).await?;
        if promised.is_some_and(|promised| promised != document.len() as u64) {
            return Err(error::new(ErrorKind::Unavailable, "document ended early"));
        }
        encoding.undo_document(document, limit, message)
    }

    /// An answer about a blob, with its bytes as they come.
    fn answer(&self, response: Response, message: &'static str) -> RangeAnswer {
        let (encoding, length) = (encoding_of(&response), length_of(&response));
        let range = header(&response, CONTENT_RANGE).map(ContentRange::parse);
        RangeAnswer { body: self.reader(message).stream(pieces(response, message)), range, length, encoding }
    }

    fn reader(&self, message: &'static str) -> BodyReader {
        BodyReader::new(message, self.tuning.timeouts().idle, &self.tuning.bounds())
    }
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn length_of(response: &Response) -> Option<u64> {
    header(response, CONTENT_LENGTH)?.parse().ok()
}

fn encoding_of(response: &Response) -> ContentEncoding {
    let values = response.headers().get_all(CONTENT_ENCODING).iter();
    ContentEncoding::parse(values.filter_map(|value| value.to_str().ok()))
}

fn pieces(response: Response, message: &'static str) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    response.bytes_stream().map(move |piece| piece.map_err(|error| error::transport(&error, message)))
}
