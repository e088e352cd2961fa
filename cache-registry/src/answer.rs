//! The body of an answer: decoded, and with a time limit.

use bytes::Bytes;
use cache_core::{BlobStream, Result};
use cache_kit::{BodyReader, ContentEncoding, Tuning};
use futures_util::stream::{StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;

use crate::{KIND, error};

/// How the body is encoded, although no encoding was requested.
pub(crate) fn encoding_of(response: &Response) -> ContentEncoding {
    let values = response.headers().get_all(CONTENT_ENCODING).iter();
    ContentEncoding::parse(values.filter_map(|value| value.to_str().ok()))
}

/// How bodies are read, and the message of the error if one cannot be.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) tuning: &'a Tuning,
    pub(crate) message: &'static str,
}

impl Reading<'_> {
    /// The bytes as they come.
    pub(crate) fn stream(self, response: Response) -> BlobStream {
        let message = self.message;
        let pieces = response.bytes_stream().map(move |piece| piece.map_err(|error| error::transport(error, message)));
        self.reader().stream(pieces).map_err(|error| error.with("backend", KIND)).boxed()
    }

    /// The decoded bytes.
    pub(crate) fn body(self, response: Response) -> Result<BlobStream> {
        let encoding = encoding_of(&response);
        encoding.undo(self.stream(response), self.message).map_err(|error| error.with("backend", KIND))
    }

    /// Reads a document of at most `limit` bytes.
    pub(crate) async fn read(self, response: Response, limit: u64) -> Result<Bytes> {
        let encoding = encoding_of(&response);
        let document = self.reader().with_limit(limit).read(self.stream(response)).await;
        let document = document.and_then(|document| encoding.undo_document(document, limit, self.message));
        document.map_err(|error| error.with("backend", KIND))
    }

    /// The start of an error's body, as far as it comes.
    pub(crate) async fn start(self, response: Response) -> Bytes {
        match self.body(response) {
            Ok(body) => self.reader().with_limit(self.tuning.bounds().error_body).read_start(body).await,
            Err(_) => Bytes::new(),
        }
    }

    fn reader(self) -> BodyReader {
        BodyReader::new(self.message, self.tuning.timeouts().idle, &self.tuning.bounds())
    }
}
