//! The cache service behind one trait, whichever of its two interfaces it speaks.

mod v1;
mod v2;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::kit::PartUpload;
use cache_core::{ErrorKind, Result};
use reqwest::header::HeaderName;
use url::Url;

pub(crate) use self::v1::V1;
pub(crate) use self::v2::V2;
use crate::error;
use crate::fields::Fields;

/// What a service can do; each call is one request, and is not tried again.
#[async_trait]
pub(crate) trait CacheService: Send + Sync {
    /// The newest entry whose key is `key` or begins with it, in any readable scope.
    async fn lookup(&self, key: &str) -> Result<Option<Found>>;

    /// Takes a key; [`ErrorKind::Conflict`] when somebody has it.
    async fn reserve(&self, key: &str) -> Result<Arc<dyn Reservation>>;

    /// The header by which a part of an entry is asked for.
    fn range_header(&self) -> HeaderName;
}

/// A key that is held for this writer until the entry is finalised. Nobody can give it back.
#[async_trait]
pub(crate) trait Reservation: Send + Sync {
    /// The requests that send an entry of `size` bytes.
    fn parts(&self, size: u64) -> Box<dyn PartUpload>;

    /// Makes the entry visible.
    async fn finalize(&self, size: u64) -> Result<()>;

    /// Whether the entry is the one at this URL; none where URLs do not tell.
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
    /// Where its bytes are, for some minutes.
    pub(crate) url: Url,
}

/// Reads the JSON of an answer; what it says is not shown, since it holds signed URLs.
fn decode(body: &[u8], message: &str) -> Result<Fields> {
    serde_json::from_slice(body).map_err(|cause| {
        let at = format!("the answer is not the JSON that was expected, at byte {}", cause.column());
        error::new(ErrorKind::Unavailable, message).with("cause", at)
    })
}

/// A URL that the service gave.
fn decode_url(text: &str, message: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| error::new(ErrorKind::Unavailable, message).with("cause", "the answer holds no usable URL"))
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("key", &self.key).finish_non_exhaustive()
    }
}
