//! Reads blobs.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{BlobStream, Descriptor, Digest, Error, Progress, Result};
use cache_kit::{RangeAnswer, RangeSource, read_ranges};

use crate::client::Client;

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let tuning = client.tuning().clone();
    let source = Source { key: client.config().keys().blob(&blob.digest), client, blob: blob.digest };
    read_ranges(source, blob, range, &tuning).await
}

struct Source {
    client: Arc<Client>,
    key: String,
    blob: Digest,
}

#[async_trait]
impl RangeSource for Source {
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        self.client.open(&self.key, range).await
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(self.client.config().environment().listener().clone())
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error.with("blob", self.blob), &self.key)
    }
}
