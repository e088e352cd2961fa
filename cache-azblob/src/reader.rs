//! Reads blobs by ranges.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Progress, Result};
use cache_kit::{ContentEncoding, RangeAnswer, RangeSource, read_ranges};
use futures_util::stream;

use crate::client::Client;
use crate::error;

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let tuning = client.tuning().clone();
    let source = Source { key: client.config().keys().blob(&blob.digest), client, blob: blob.clone() };
    read_ranges(source, blob, range, &tuning).await
}

struct Source {
    client: Arc<Client>,
    blob: Descriptor,
    key: String,
}

#[async_trait]
impl RangeSource for Source {
    /// The SDK always asks for a range, which a blob without bytes does not have: that one is looked up.
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        let lost = || error::new(ErrorKind::NotFound, "blob not found");
        let range = range.unwrap_or(0..self.blob.size);
        if range.is_empty() {
            let found = self.client.head(&self.key).await?.ok_or_else(lost)?;
            let (body, encoding) = (Box::pin(stream::empty()), ContentEncoding::Identity);
            return Ok(RangeAnswer { body, range: None, length: Some(found.size), encoding });
        }
        Ok(self.client.get(&self.key, range).await?.ok_or_else(lost)?.answer)
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(self.client.config().environment().listener().clone())
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error.with("blob", self.blob.digest))
    }
}
