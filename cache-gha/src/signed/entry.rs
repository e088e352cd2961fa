//! One entry of the service: found by its key, read by its signed URL, looked up again when that has expired.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::ContentRange;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use url::Url;

use super::{encoding_of, header, length_of};
use crate::error;
use crate::keys::is_same;
use crate::session::Session;

/// An entry with exactly this key.
pub(crate) struct Entry {
    session: Arc<Session>,
    key: String,
    message: &'static str,
    /// Its location.
    url: Mutex<Option<Url>>,
}

impl Entry {
    /// The entry of this key, wherever it is.
    pub(crate) fn new(session: Arc<Session>, key: String, message: &'static str) -> Self {
        Self { session, key, message, url: Mutex::default() }
    }

    /// An entry that was just found.
    pub(crate) fn found(self, url: Url) -> Self {
        self.keep(Some(url));
        self
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The stored size in bytes; `None` if the entry does not exist.
    pub(crate) async fn size(&self) -> Result<Option<u64>> {
        let size = || async {
            match self.get(Some(0..1)).await {
                Ok(response) => Ok(total(&response)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.session.retrying(size).await
    }

    /// Reads the whole entry, of at most `limit` bytes.
    pub(crate) async fn document(&self, limit: u64) -> Result<Bytes> {
        self.session.retrying(|| self.document_once(limit)).await
    }

    async fn document_once(&self, limit: u64) -> Result<Bytes> {
        let response = self.get(None).await?;
        self.session.http().read(response, limit, self.message).await.map_err(|error| self.with_context(error))
    }

    /// Opens the entry once, or a part of it; the answer has the status 200, 206 or 416.
    pub(crate) async fn get(&self, range: Option<Range<u64>>) -> Result<Response> {
        let known = self.kept();
        let was_known = known.is_some();
        let url = match known {
            Some(url) => url,
            None => self.locate().await?,
        };
        let response = self.get_from(url, range.clone()).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
            // It may have been replaced by another entry of this key since it was found.
            StatusCode::NOT_FOUND if was_known => {}
            _ => return self.accept(response).await,
        }
        self.keep(None);
        let again = self.get_from(self.locate().await?, range).await?;
        self.accept(again).await
    }

    async fn get_from(&self, url: Url, range: Option<Range<u64>>) -> Result<Response> {
        let range = range.map(|range| (self.session.service().range_header(), range));
        self.session.http().get(url, range, self.message).await.map_err(|error| self.with_context(error))
    }

    async fn accept(&self, response: Response) -> Result<Response> {
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            _ => Err(self.refused(response).await),
        }
    }

    /// The error for an answer that is not the wanted one.
    pub(super) async fn refused(&self, response: Response) -> Error {
        self.with_context(self.session.http().refused(response, self.message).await)
    }

    async fn locate(&self) -> Result<Url> {
        let found = self.session.service().lookup(&self.key).await?;
        // The service also matches entries whose keys only begin like this one: a signature, say.
        let url = found.filter(|found| is_same(&found.key, &self.key)).map(|found| found.url);
        let url = url.ok_or_else(|| self.with_context(error::new(ErrorKind::NotFound, "no such entry")))?;
        self.keep(Some(url.clone()));
        Ok(url)
    }

    fn kept(&self) -> Option<Url> {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, url: Option<Url>) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    pub(crate) fn with_context(&self, error: Error) -> Error {
        error.with("key", &self.key)
    }
}

/// The size of the whole, from the answer for a part.
fn total(response: &Response) -> Option<u64> {
    match response.status() {
        StatusCode::OK => length_of(response).filter(|_| encoding_of(response).is_identity()),
        _ => ContentRange::parse(header(response, CONTENT_RANGE)?).total,
    }
}
