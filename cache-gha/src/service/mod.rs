//! The cache service behind one trait, whichever of its two interfaces it speaks.

mod v1;
mod v2;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::{PartUpload, is_downgrade};
use reqwest::header::HeaderName;
use url::Url;

pub(crate) use self::v1::V1;
pub(crate) use self::v2::V2;
use crate::error;
use crate::fields::Fields;

/// The calls of a service; each is one request, without retries.
#[async_trait]
pub(crate) trait CacheService: Send + Sync {
    /// The newest entry whose key is `key` or begins with it, in any readable scope.
    async fn lookup(&self, key: &str) -> Result<Option<Found>>;

    /// Reserves a key; [`ErrorKind::Conflict`] if it is taken.
    async fn reserve(&self, key: &str) -> Result<Arc<dyn Reservation>>;

    /// The header for the range of an entry.
    fn range_header(&self) -> HeaderName;
}

/// A key that is reserved for this writer until the entry is finalised. It cannot be released.
#[async_trait]
pub(crate) trait Reservation: Send + Sync {
    /// The requests that send an entry of `size` bytes.
    fn parts(&self, size: u64) -> Box<dyn PartUpload>;

    /// Makes the entry visible.
    async fn finalize(&self, size: u64) -> Result<()>;

    /// Whether the entry is the one at this URL; `None` if URLs do not tell.
    fn is_at(&self, _: &Url) -> Option<bool> {
        None
    }
}

/// An entry that was found.
#[derive(Clone)]
pub(crate) struct Found {
    /// Its key, of which the one that was asked for may be a prefix. A service that does not say it is taken to have
    /// found what was asked for.
    pub(crate) key: String,
    /// The URL of its bytes, which is valid for some minutes.
    pub(crate) url: Url,
}

/// Reads the JSON of an answer. It is not shown, since it holds signed URLs.
fn decode(body: &[u8], message: &str) -> Result<Fields> {
    serde_json::from_slice(body).map_err(|cause| {
        let at = format!("the answer is not the JSON that was expected, at byte {}", cause.column());
        error::new(ErrorKind::Unavailable, message).with("cause", at)
    })
}

/// A service that answers 404 has no such entry, as BuildKit has it; but for Twirp's word for a method that it does not
/// have.
fn unless_missing<T>(answer: Result<T>) -> Result<Option<T>> {
    let is_missing = |error: &Error| error.status() == Some(404) && error.kind() != ErrorKind::Unsupported;
    match answer {
        Err(error) if is_missing(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Parses a URL from `service`. A service with HTTPS may not return plain HTTP, since others could read and use the
/// URL.
fn decode_url(text: &str, service: &Url, message: &str) -> Result<Url> {
    let failed = |cause: &str| error::new(ErrorKind::Unavailable, message).with("cause", cause).with_retryable(false);
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| failed("the answer holds no usable URL"))?;
    let leaves_https = is_downgrade(service.scheme(), url.scheme());
    if leaves_https { Err(failed("the service speaks HTTPS and gives a URL by plain HTTP")) } else { Ok(url) }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_https_gives_no_url_by_plain_http() {
        let is_taken = |service: &str, text: &str| decode_url(text, &Url::parse(service).unwrap(), "no").is_ok();
        assert!(is_taken("https://h/", "https://blobs/x?sig=hush") && is_taken("http://h/", "http://blobs/x?sig=hush"));
        assert!(is_taken("http://h/", "https://blobs/x"));
        for text in ["http://h/x?sig=hush", "ftp://h/x", "x?sig=hush", ""] {
            let error = decode_url(text, &Url::parse("https://h/").unwrap(), "no").unwrap_err();
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
    }
}
