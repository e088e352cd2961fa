//! Blobs, as one request gives them.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::kit::{RangeAnswer, RangeSource, read_ranges};
use cache_core::{BlobStream, Descriptor, Error, ErrorKind, Progress, Result};

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
    /// The SDK always asks for a range, and without one again if it finds that there are no bytes.
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        let found = self.client.get(&self.key, range.unwrap_or(0..self.blob.size)).await?;
        Ok(found.ok_or_else(|| error::new(ErrorKind::NotFound, "blob not found"))?.answer)
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(self.client.config().environment().listener().clone())
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error.with("blob", self.blob.digest))
    }
}
