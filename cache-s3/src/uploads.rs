//! Lists open uploads, and aborts those of killed processes.

use async_trait::async_trait;
use cache_core::{Error, Result, Timestamp};
use cache_kit::{Page, PageSource, paged};
use futures_util::stream::TryStreamExt;

use crate::client::{Client, Marker, OpenUpload};
use crate::parts::abort;

/// Aborts the uploads of blobs whose start time `is_dead`; returns how many.
pub(crate) async fn abort_uploads(client: &Client, is_dead: impl Fn(Timestamp) -> bool + Send) -> Result<usize> {
    let keys = client.config().keys();
    let mut open = paged(Uploads { client, prefix: keys.blobs() }, client.tuning().bounds());
    let mut aborted = 0;
    while let Some(upload) = open.try_next().await? {
        if keys.digest_at(&upload.key).is_some() && upload.begun.is_some_and(&is_dead) {
            abort(client, &upload.key, &upload.id).await?;
            aborted += 1;
        }
    }
    Ok(aborted)
}

struct Uploads<'a> {
    client: &'a Client,
    prefix: String,
}

#[async_trait]
impl PageSource for Uploads<'_> {
    type Item = OpenUpload;
    type Cursor = Marker;

    async fn page(&self, cursor: Option<&Marker>) -> Result<Page<OpenUpload, Marker>> {
        self.client.retrying(|| self.client.open_uploads(&self.prefix, cursor)).await
    }

    fn id(upload: &OpenUpload) -> String {
        format!("{} {}", upload.id, upload.key)
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error, &self.prefix)
    }
}
