//! [`AzblobProbe`]: tests what may be done in a container, with two blobs of its own.

use std::fmt;

use async_trait::async_trait;
use azure_core::Uuid;
use bytes::Bytes;
use cache_core::seams::{CacheProbe, Diagnosis, Publishing};
use cache_core::{CacheSpec, ErrorKind, Result};
use cache_kit::PartUpload;
use futures_util::stream::TryStreamExt;

use crate::blocks::Blocks;
use crate::client::{Client, Condition};
use crate::{AzblobConfig, KIND, error};

const BYTES: &[u8] = b"buildcache doctor";
const NOT_WRITTEN: &str = "not tried: nothing can be written";
/// What depends on a blob that was written.
const DEPENDING: [&str; 6] = ["conditional-write", "block-upload", "range-read", "refresh", "list", "delete"];

/// The container to probe.
///
/// The probe writes two blobs of 17 bytes with `buildcache-doctor` in their names beside the layers, and deletes them.
/// If the container does not exist, it is created, as by the first export, and kept.
pub struct AzblobProbe {
    client: Client,
    recommended: CacheSpec,
}

impl AzblobProbe {
    /// A probe of the container of `config`; nothing is sent before [`diagnose`](CacheProbe::diagnose).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] when the credential is missing or invalid.
    pub fn new(config: AzblobConfig) -> Result<Self> {
        let recommended = CacheSpec::new(KIND)
            .with("account_url", config.account().to_string())
            .with("container", config.container());
        Ok(Self { client: Client::new(config)?, recommended })
    }

    /// Sets the spec to recommend: the given one, without its key.
    pub(crate) fn recommending(self, spec: &CacheSpec) -> Self {
        let mut recommended = spec.clone();
        recommended.remove("secret_access_key");
        Self { recommended, ..self }
    }

    async fn try_container(&self, found: &mut Diagnosis) -> Result<bool> {
        let looked = self.client.retrying(|| self.client.has_container()).await;
        let is_there = match looked {
            Err(error) if !is_about_rights(error.kind()) => return Err(error),
            Err(error) => {
                found.record(
                    "container",
                    Err(error),
                    "a signature for blobs alone can do without, if the container is there",
                );
                return Ok(true);
            }
            Ok(is_there) => is_there,
        };
        if is_there {
            return Ok(found.record("container", Ok(()), ""));
        }
        let made = self.client.retrying(|| self.client.create_container()).await;
        let is_made = found.record("container", made, "create the container, or ask for the right to do it");
        if is_made {
            found
                .notes
                .push("the container was not there and was created; BuildKit needs that right even to import".into());
        }
        Ok(is_made)
    }

    async fn try_blobs(&self, key: &str, found: &mut Diagnosis) {
        let put = |condition: Condition| async move {
            self.client.retrying(|| self.client.put(key, Bytes::from_static(BYTES), &condition)).await.map(drop)
        };
        let absent = self.client.retrying(|| self.client.head(key)).await.map(drop);
        found.record("read", absent, "ask for the role Storage Blob Data Reader");
        if !found.record("write", put(Condition::Absent).await, "ask for the role Storage Blob Data Contributor") {
            DEPENDING.into_iter().for_each(|name| found.skip(name, NOT_WRITTEN));
            return;
        }
        let again = match put(Condition::Absent).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(error::new(ErrorKind::Unsupported, "a condition that does not hold does not stop a write")),
        };
        found.record("conditional-write", again, "`merge --publish` can lose what others write at the same time");
        let blocks = self.try_blocks(&format!("{key}-blocks")).await;
        found.record("block-upload", blocks, "layers over 8 MiB cannot be written");
        found.record(
            "range-read",
            self.try_range(key).await,
            "a download that breaks starts again from its first byte",
        );
        found.record("refresh", self.try_refresh(key).await, "`prune` may take old layers while an export needs them");
        let listed = self.client.retrying(|| self.client.list(key, None)).await.map(drop);
        found.record("list", listed, "`ls`, `du`, `prune` and `copy --all` cannot work here");
    }

    async fn try_blocks(&self, key: &str) -> Result<()> {
        let blocks = Blocks { client: &self.client, key, condition: Condition::Absent };
        let upload = blocks.begin().await?;
        let part = blocks.part(&upload, 1, Bytes::from_static(BYTES)).await?;
        blocks.complete(&upload, vec![part]).await
    }

    async fn try_range(&self, key: &str) -> Result<()> {
        let gone = || error::new(ErrorKind::NotFound, "the blob that was just written is gone");
        let part = self.client.retrying(|| self.client.get(key, 1..9)).await?.ok_or_else(gone)?;
        let pieces: Vec<Bytes> = part.answer.body.try_collect().await?;
        if pieces.concat() == BYTES.get(1..9).unwrap_or_default() {
            return Ok(());
        }
        Err(error::new(ErrorKind::Unsupported, "the service sent another part than was requested"))
    }

    async fn try_refresh(&self, key: &str) -> Result<()> {
        match self.client.retrying(|| self.client.head(key)).await? {
            Some(found) => self.client.retrying(|| self.client.touch(key, &found)).await,
            None => Err(error::new(ErrorKind::NotFound, "the blob that was just written is gone")),
        }
    }

    async fn clean_up(&self, key: &str, found: &mut Diagnosis) {
        let mut deleted = Ok(());
        for key in [key.to_owned(), format!("{key}-blocks")] {
            let gone = self.delete(&key).await;
            if gone.is_err() {
                found.leftovers.push(format!("blob {key}: delete it where you can"));
            }
            deleted = deleted.and(gone);
        }
        found.record("delete", deleted, "`rm` and `prune` cannot work here: set a lifecycle rule");
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.client.retrying(|| self.client.head(key)).await? {
            Some(found) => self.client.retrying(|| self.client.delete(key, &found.etag)).await.map(drop),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl CacheProbe for AzblobProbe {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let mut found = Diagnosis::default();
        if !self.try_container(&mut found).await? {
            found.skip("write", "not tried: there is no container");
            return Ok(found);
        }
        let key = self.client.config().keys().beside_blobs(&format!("buildcache-doctor-{}", Uuid::new_v4().simple()));
        self.try_blobs(&key, &mut found).await;
        if found.works("write") {
            self.clean_up(&key, &mut found).await;
            if found.works("conditional-write") {
                found.publishing = Some(Publishing::Conditional);
            }
            found.recommended = Some(self.recommended.clone());
        }
        Ok(found)
    }
}

fn is_about_rights(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

impl fmt::Debug for AzblobProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzblobProbe").field("config", self.client.config()).finish_non_exhaustive()
    }
}
