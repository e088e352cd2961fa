//! Reads blobs from entries.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{BlobStream, Descriptor, Digest, Error, Progress, Result};
use cache_kit::{RangeAnswer, RangeSource, read_ranges};

use super::Entry;

const MESSAGE: &str = "cannot read the blob";

/// Opens a blob that is kept in `entry`, or a part of it.
pub(crate) async fn open(entry: Entry, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let config = entry.session().config();
    let tuning = config.environment().tuning().clone().with_retry(config.retry());
    read_ranges(Source { entry, blob: blob.digest }, blob, range, &tuning).await
}

struct Source {
    entry: Entry,
    blob: Digest,
}

#[async_trait]
impl RangeSource for Source {
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        let response = self.entry.get(range).await?;
        if !response.status().is_success() {
            return Err(self.entry.refused(response).await);
        }
        Ok(self.entry.session().http().answer(response, MESSAGE))
    }

    fn progress(&self) -> Arc<dyn Progress> {
        self.entry.session().progress()
    }

    fn with_context(&self, error: Error) -> Error {
        error.with("backend", crate::KIND).with("blob", self.blob)
    }
}
