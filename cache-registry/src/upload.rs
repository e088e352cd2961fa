//! One upload: a single request; if it breaks, the upload is resumed after what the registry has stored.

use std::future::Future;
use std::sync::Arc;

use cache_core::{BlobStream, Descriptor, Digest, Error, ErrorKind, Result};
use cache_kit::MAX_REDIRECTS;
use reqwest::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use reqwest::{Method, Response};
use url::Url;

use crate::auth::Scopes;
use crate::body::{Part, Source};
use crate::client::{Client, Request, digest_of};
use crate::{error, redirect};

pub(crate) const UPLOAD: &str = "cannot upload the blob";
const STATE: &str = "cannot look up the upload";
pub(crate) const OCTETS: &str = "application/octet-stream";
/// The smallest chunk that a registry accepts, from its answer to the start of an upload.
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// How often one upload is resumed, and how often in a row without progress.
const RESUMES: u32 = 16;
const STALLS: u32 = 2;
/// The limits of the chunk size, for a blob that is too large for one request.
const LARGEST_CHUNK: u64 = 64 << 20;
const SMALLEST_CHUNK: u64 = 256 << 10;

/// An upload that the registry keeps open; one that is dropped is cancelled.
pub(crate) struct Upload {
    client: Arc<Client>,
    scopes: Scopes,
    location: Url,
    /// The other URL for the next request, and how many redirects in a row there were.
    detour: Option<Url>,
    detours: usize,
    /// No chunk but the last may be smaller.
    smallest_chunk: u64,
    is_open: bool,
}

/// The outcome of sending a part.
enum Sent {
    /// The registry has it.
    Taken,
    /// It is to be sent to somewhere else, from a source that is opened again.
    Redirected,
}

/// The progress of an upload.
struct Progress {
    /// How many bytes the registry has.
    at: u64,
    /// How many bytes go into one request; without a limit the first request has all and ends the upload.
    chunk: Option<u64>,
    stalls: u32,
}

impl Progress {
    /// Counts an attempt without progress; returns whether another one is allowed.
    fn stall(&mut self) -> bool {
        self.stalls += 1;
        self.stalls <= STALLS
    }
}

impl Upload {
    /// The open upload of an answer.
    pub(crate) fn started(client: &Arc<Client>, scopes: &Scopes, response: &Response) -> Result<Self> {
        let location = upload_location(client, response)?;
        let told = response.headers().get(CHUNK_MIN_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let smallest_chunk = told.unwrap_or(0).max(SMALLEST_CHUNK);
        let (client, scopes) = (Arc::clone(client), scopes.clone());
        Ok(Self { client, scopes, location, detour: None, detours: 0, smallest_chunk, is_open: true })
    }

    /// Sends the blob; the registry compares its digest. `open` opens the whole blob, again if the upload is resumed.
    pub(crate) async fn send<F>(mut self, blob: &Descriptor, open: impl Fn() -> F + Send + Sync) -> Result<()>
    where
        F: Future<Output = Result<BlobStream>> + Send,
    {
        let sent = self.send_all(blob, open).await;
        match sent {
            Ok(()) => self.is_open = false,
            Err(_) => self.cancel().await,
        }
        sent.map_err(|error| error.with("blob", blob.digest))
    }

    async fn send_all<F>(&mut self, blob: &Descriptor, open: impl Fn() -> F + Send + Sync) -> Result<()>
    where
        F: Future<Output = Result<BlobStream>> + Send,
    {
        let mut progress = Progress { at: 0, chunk: None, stalls: 0 };
        let mut resumes = 0;
        loop {
            let error = match self.send_rest(blob, &mut progress, &open).await {
                Ok(Sent::Taken) => return Ok(()),
                Ok(Sent::Redirected) => continue,
                Err(error) => error,
            };
            if resumes == RESUMES || !self.can_resume(blob, &mut progress, &error).await {
                return Err(if resumes > 0 && may_go_whole(&error) { error.with_retryable(true) } else { error });
            }
            resumes += 1;
        }
    }

    /// Sends the bytes that the registry does not have yet.
    ///
    /// The source is read from its start, so that it is verified whole before the last byte goes out.
    async fn send_rest<F>(&mut self, blob: &Descriptor, progress: &mut Progress, open: impl Fn() -> F) -> Result<Sent>
    where
        F: Future<Output = Result<BlobStream>> + Send,
    {
        if progress.at == blob.size && progress.at > 0 {
            return self.finish(blob, None).await;
        }
        let source = Source::new(blob, open().await?);
        source.skip(progress.at).await?;
        if progress.at == 0 && progress.chunk.is_none() {
            return self.finish(blob, Some(source.part(blob.size))).await;
        }
        while progress.at < blob.size {
            let left = blob.size - progress.at;
            let length = progress.chunk.map_or(left, |chunk| chunk.min(left));
            if let Sent::Redirected = self.append(progress.at, source.part(length)).await? {
                return Ok(Sent::Redirected);
            }
            (progress.at, progress.stalls) = (progress.at + length, 0);
        }
        self.finish(blob, None).await
    }

    /// Sends a chunk.
    async fn append(&mut self, at: u64, part: Part) -> Result<Sent> {
        let range = format!("{at}-{}", at + part.length() - 1);
        let url = self.detour.take().unwrap_or_else(|| self.location.clone());
        let request = Request::new(Method::PATCH, url, &self.scopes, UPLOAD);
        let request = request.header(CONTENT_RANGE, &range).content_type(OCTETS);
        let response = self.client.upload(request, part).await?;
        if self.is_redirected(&response, &Method::PATCH)? {
            return Ok(Sent::Redirected);
        }
        if !response.status().is_success() {
            return Err(refused(&self.client, response, UPLOAD).await);
        }
        // A registry that keeps to one place need not say it again.
        self.location = upload_location(&self.client, &response).unwrap_or_else(|_| self.location.clone());
        self.detours = 0;
        Ok(Sent::Taken)
    }

    /// Ends the upload, with all of the blob or after its last chunk.
    async fn finish(&mut self, blob: &Descriptor, part: Option<Part>) -> Result<Sent> {
        let url = self.detour.take().unwrap_or_else(|| {
            let mut url = self.location.clone();
            url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
            url
        });
        let request = Request::new(Method::PUT, url, &self.scopes, UPLOAD).content_type(OCTETS);
        let response = match part {
            Some(part) => self.client.upload(request, part).await?,
            None => self.client.send(request).await?,
        };
        if self.is_redirected(&response, &Method::PUT)? {
            return Ok(Sent::Redirected);
        }
        check_stored(&self.client, response, blob.digest, UPLOAD).await.map(|()| Sent::Taken)
    }

    /// Notes the other URL to which the registry wants a request sent.
    fn is_redirected(&mut self, response: &Response, method: &Method) -> Result<bool> {
        self.detour = redirect::target(response, method);
        if self.detour.is_some() {
            self.detours += 1;
        }
        if self.detours > MAX_REDIRECTS {
            return Err(self.client.with_context(redirect::endless(UPLOAD)));
        }
        Ok(self.detour.is_some())
    }

    /// Whether the upload can be resumed after an error; `progress` then has the offset.
    async fn can_resume(&mut self, blob: &Descriptor, progress: &mut Progress, error: &Error) -> bool {
        let is_too_large = error.status() == Some(413);
        if !is_too_large && !may_be_broken(error) {
            return false;
        }
        let Some(kept) = self.kept().await.filter(|kept| *kept <= blob.size) else { return false };
        let is_further = kept > progress.at;
        progress.at = kept;
        if is_further && !is_too_large {
            progress.stalls = 0;
            return true;
        }
        // A server that refuses a large body often closes the connection, so that the 413 is lost.
        if is_too_large || !is_answer(error) {
            let next = self.next_chunk(progress.chunk, blob.size);
            progress.chunk = next.or(progress.chunk);
            return next.is_some() || (kept > 0 && !is_too_large && progress.stall());
        }
        kept > 0 && progress.stall()
    }

    /// A quarter of the size that was too large, if the registry accepts such small chunks.
    fn next_chunk(&self, chunk: Option<u64>, size: u64) -> Option<u64> {
        let quarter = (chunk.unwrap_or(size) / 4).min(LARGEST_CHUNK);
        let next = quarter.max(self.smallest_chunk);
        (next < chunk.unwrap_or(size)).then_some(next)
    }

    /// The bytes that the registry has; `None` if it has dropped the upload, or does not tell.
    async fn kept(&mut self) -> Option<u64> {
        let look = || async {
            let request = Request::new(Method::GET, self.location.clone(), &self.scopes, STATE);
            let response = self.client.send(request).await?;
            if response.status().is_success() { Ok(response) } else { Err(self.client.refused(response, STATE).await) }
        };
        let response = self.client.retrying(look).await.ok()?;
        let kept = kept(response.headers().get(RANGE)?.to_str().ok()?)?;
        self.location = upload_location(&self.client, &response).unwrap_or_else(|_| self.location.clone());
        Some(kept)
    }

    /// Cancels the upload; a registry that does not support that drops it after a while.
    async fn cancel(mut self) {
        self.is_open = false;
        cancel(&self.client, self.location.clone()).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_open {
            let (client, location) = (Arc::clone(&self.client), self.location.clone());
            drop(runtime.spawn(async move { cancel(&client, location).await }));
        }
    }
}

/// Checks that the registry has stored the sent bytes.
pub(crate) async fn check_stored(
    client: &Client,
    response: Response,
    ours: Digest,
    message: &'static str,
) -> Result<()> {
    if !response.status().is_success() {
        return Err(refused(client, response, message).await);
    }
    match digest_of(&response).filter(|stored| stored.algorithm() == ours.algorithm() && *stored != ours) {
        Some(stored) => {
            let error = error::new(ErrorKind::DigestMismatch, "the registry stored something else");
            Err(client.with_context(error.with("digest", ours).with("stored", stored)))
        }
        None => Ok(()),
    }
}

/// A token can expire between the start of an upload and its end: the next try gets another one.
async fn refused(client: &Client, response: Response, message: &'static str) -> Error {
    let error = client.refused(response, message).await;
    if error.kind() == ErrorKind::Unauthenticated { error.with_retryable(true) } else { error }
}

/// Whether to ask how much the registry has: not if it asked for a delay, or the source has failed.
///
/// 416 is its answer to a chunk that does not follow what it has.
fn may_be_broken(error: &Error) -> bool {
    let is_passing = error.is_retryable() && error.retry_after().is_none() && error.side().is_none();
    is_passing || error.status() == Some(416)
}

/// Whether the whole blob in one request may succeed: the registry may have refused only the chunks, or their sum.
fn may_go_whole(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 404 | 405 | 416))
}

/// Whether the error is an answer of the registry.
fn is_answer(error: &Error) -> bool {
    error.status().is_some()
}

/// Reads `0-<last byte>`; `0-0` is what an upload without any byte has.
fn kept(range: &str) -> Option<u64> {
    let (first, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (first == "0").then(|| if last == 0 { 0 } else { last.saturating_add(1) })
}

/// The URL for the next request of an upload, from an answer.
pub(crate) fn upload_location(client: &Client, response: &Response) -> Result<Url> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.and_then(|location| response.url().join(location).ok());
    location.ok_or_else(|| {
        client.with_context(error::new(ErrorKind::Unavailable, "the registry does not say where to upload to"))
    })
}

/// Tells the registry to forget an upload.
pub(crate) async fn cancel(client: &Client, location: Url) {
    let scopes = Scopes::push(client.config().parsed().repository());
    // Its own failure is ignored: the earlier error is returned.
    let _ = client.send(Request::new(Method::DELETE, location, &scopes, "cannot cancel the upload")).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_stored_bytes_is_parsed() {
        assert_eq!(kept("0-499"), Some(500));
        assert_eq!(kept("bytes=0-499"), Some(500));
        assert_eq!(kept("0-0"), Some(0));
        for range in ["", "0", "100-499", "0-x", "0--1", "*/500"] {
            assert_eq!(kept(range), None, "{range}");
        }
    }
}
