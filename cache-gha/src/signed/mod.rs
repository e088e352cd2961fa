//! Signed URLs: where the bytes of entries are. Whoever has one may use it, so none is shown or kept.

mod block;
mod entry;
mod read;

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cache_core::{Error, Result, within};
use reqwest::header::HeaderName;
use reqwest::{RequestBuilder, Response};
use url::Url;

pub(crate) use self::block::BlockBlob;
pub(crate) use self::entry::Entry;
pub(crate) use self::read::open;
use crate::error;

/// How much of an error's body is read.
const MOST_READ: usize = 64 << 10;

/// A client without a token.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    idle: Option<Duration>,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client, idle: Option<Duration>) -> Self {
        Self { client, idle }
    }

    /// Asks for an entry, or a part of it that is not empty.
    async fn get(&self, url: Url, range: Option<(HeaderName, Range<u64>)>, message: &str) -> Result<Response> {
        let request = self.client.get(url);
        let request = match range {
            Some((name, range)) => request.header(name, format!("bytes={}-{}", range.start, range.end - 1)),
            None => request,
        };
        self.send(request, 1, message).await
    }

    /// Sends a request once, and waits `patience` times as long as for a question.
    async fn send(&self, request: RequestBuilder, patience: u32, message: &str) -> Result<Response> {
        let limit = self.idle.map(|idle| idle * patience);
        match within(limit, request.send()).await {
            Some(sent) => sent.map_err(|error| error::transport(&error, message)),
            None => Err(error::stalled(message, limit.unwrap_or_default())),
        }
    }

    /// The error for an answer that is not the wanted one.
    async fn refused(&self, mut response: Response, message: &str) -> Error {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(Ok(Some(piece))) = within(self.idle, response.chunk()).await {
            body.extend_from_slice(&piece);
            if body.len() > MOST_READ {
                break;
            }
        }
        error::refused(status, &headers, &body, message)
    }

    /// The next piece of a body.
    async fn chunk(&self, response: &mut Response, message: &str) -> Result<Option<Bytes>> {
        match within(self.idle, response.chunk()).await {
            Some(piece) => piece.map_err(|error| error::transport(&error, message)),
            None => Err(error::stalled(message, self.idle.unwrap_or_default())),
        }
    }
}
