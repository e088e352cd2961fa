//! Uploads in parts, for the loop in `cache-kit`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::Silent;
use cache_core::{Descriptor, Error, ErrorKind, Result};
use cache_kit::PartUpload;

use crate::age::age;
use crate::client::{Client, Condition, Found};

/// The requests that upload a blob in parts. Dropped before its end, it aborts its upload.
pub(crate) struct Parts<'a> {
    client: Arc<Client>,
    key: String,
    blob: &'a Descriptor,
    /// The upload that is neither complete nor aborted.
    open: Mutex<Option<String>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(client: Arc<Client>, key: String, blob: &'a Descriptor) -> Self {
        Self { client, key, blob, open: Mutex::default() }
    }

    /// Opens the upload before there is anything to send; returns whether the store has such uploads.
    pub(crate) async fn begin_early(&self) -> Result<bool> {
        match self.begin().await {
            Ok(_) => Ok(true),
            Err(error) if is_about_parts(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(upload) = self.open().take() {
            let (client, key) = (Arc::clone(&self.client), self.key.clone());
            drop(runtime.spawn(async move { abort(&client, &key, &upload).await }));
        }
    }
}

#[async_trait]
impl PartUpload for Parts<'_> {
    /// Objects are overwritten, as in BuildKit: an existing one has the same bytes, or wrong ones.
    async fn put(&self, bytes: Bytes) -> Result<()> {
        let put = || self.client.put(&self.key, bytes.clone(), &self.blob.digest, Condition::None);
        self.client.retrying(put).await.map(drop)
    }

    async fn begin(&self) -> Result<String> {
        if let Some(upload) = self.open().clone() {
            return Ok(upload);
        }
        let upload = self.client.retrying(|| self.client.begin(&self.key, None)).await?;
        *self.open() = Some(upload.clone());
        Ok(upload)
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        self.client.retrying(|| self.client.part(&self.key, upload, number, bytes.clone())).await
    }

    async fn complete(&self, upload: &str, parts: Vec<String>) -> Result<()> {
        complete(&self.client, &self.key, upload, &parts, self.blob.size, None).await?;
        *self.open() = None;
        Ok(())
    }

    /// A store that puts the parts together in its own way may have lost some.
    async fn stored_size(&self) -> Result<Option<u64>> {
        let found = self.client.retrying(|| self.client.head(&self.key)).await?;
        Ok(found.filter(|found| !found.is_archived).map(|found| found.size))
    }

    async fn abort(&self, upload: &str) -> Result<()> {
        let aborted = abort(&self.client, &self.key, upload).await;
        *self.open() = None;
        aborted
    }
}

/// Whether an upload cannot be begun because the store has no uploads in parts.
pub(crate) fn is_about_parts(error: &Error) -> bool {
    let has_no_such_path = error.kind() == ErrorKind::NotFound && error.code().is_none();
    error.kind() == ErrorKind::Unsupported || has_no_such_path
}

/// Completes an upload that replaces `before`. If the answer was lost, or the SDK does not understand it, the object
/// itself tells whether it happened.
pub(crate) async fn complete(
    client: &Client,
    key: &str,
    upload: &str,
    parts: &[String],
    size: u64,
    before: Option<&Found>,
) -> Result<()> {
    let (policy, mut tries) = (client.tuning().retry(), 0);
    let completed = policy.run(&Silent, || {
        tries += 1;
        client.complete(key, upload, parts, size)
    });
    let Err(error) = completed.await else { return Ok(()) };
    let is_unclear = match error.status() {
        Some(200) => true,
        Some(400 | 404 | 500) => tries > 1,
        _ => false,
    };
    if is_unclear {
        let found = client.retrying(|| client.head(key)).await?;
        // Where times are whole seconds, an object that was new already looks the same after a copy, and is as young.
        let is_young = |found: &Found| found.modified.is_some_and(|modified| age(modified) <= 1);
        if found.is_some_and(|found| found.size == size && (Some(&found) != before || is_young(&found))) {
            return Ok(());
        }
    }
    // An upload that another program has aborted is started again by the next push.
    let is_worth_a_push = error.code() == Some("NoSuchUpload");
    Err(error.with_retryable(is_worth_a_push))
}

/// Aborts an upload; if it does not exist any more, that is not an error.
pub(crate) async fn abort(client: &Client, key: &str, upload: &str) -> Result<()> {
    let aborted = client.retrying(|| client.abort(key, upload)).await;
    match aborted {
        Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
        aborted => aborted,
    }
}
