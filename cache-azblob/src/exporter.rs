//! [`AzblobExporter`]: writes a cache to a container, blob by blob, and the index last.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, Progress, Pushed, Result,
    Timestamp, Version,
};
use cache_kit::{Knowledge, Known, PresenceChecks, upload};
use tokio::sync::OnceCell;

use crate::AzblobConfig;
use crate::blocks::Blocks;
use crate::client::{Client, Condition, Found, Listed};
use crate::{error, listing};

/// The age from which a push refreshes a blob: half the default grace of `prune`.
const REFRESH: Duration = Duration::from_secs(30 * 60);
/// What BuildKit writes for a cache without layers.
const EMPTY: &[u8] = b"{}";

/// A cache in Azure Blob Storage, for writing.
///
/// * The first push or commit creates the container if it does not exist.
/// * A push looks up the blob. If it does not exist, it is sent, in one request or in blocks in parallel, on the
///   condition that it still does not exist. If another writer was faster, the blob counts as present. There is no
///   limit on the total time.
/// * For more than 16 blobs one list tells which exist, as long as its pages save requests.
/// * After 16 lookups in a row that found nothing, blobs of up to 256 KiB are sent on that condition without a lookup,
///   until one of them turns out to exist.
/// * A present blob that is older than 30 minutes is refreshed, so that no prune deletes it. After the commit, an
///   export pushes the other present blobs again, which takes one lookup for each that still exists.
/// * A commit writes each name, the first one on the condition of `Expect`. The service checks conditions atomically.
pub struct AzblobExporter {
    client: Client,
    has_container: OnceCell<()>,
    checks: PresenceChecks,
    /// What a list tells about the blobs to push.
    known: Known<Listed>,
    /// The ETag of the first name after our own last commit.
    committed: Mutex<Option<String>>,
}

impl AzblobExporter {
    /// A writer of the cache that `config` names; nothing is sent before the first push or commit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if the credential is missing or invalid.
    pub fn new(config: AzblobConfig) -> Result<Self> {
        Ok(Self {
            client: Client::new(config)?,
            has_container: OnceCell::new(),
            checks: PresenceChecks::told(),
            known: Known::default(),
            committed: Mutex::default(),
        })
    }

    async fn ensure_container(&self) -> Result<()> {
        let ensure = || async {
            match self.client.retrying(|| self.client.has_container()).await {
                Ok(true) => Ok(()),
                Ok(false) => self.client.retrying(|| self.client.create_container()).await,
                // A signature for blobs cannot look up their container. If it does not exist, the next request fails.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.has_container.get_or_try_init(ensure).await.copied()
    }

    async fn head(&self, key: &str) -> Result<Option<Found>> {
        self.client.retrying(|| self.client.head(key)).await
    }

    /// What the list tells about a blob. One that is old, has another size or is archived is looked up.
    async fn listed(&self, key: &str, size: u64) -> Knowledge<()> {
        let list = |keys: Arc<BTreeSet<String>>| async move { listing::look(&self.client, &keys).await };
        match self.known.find(key, size, list).await {
            Knowledge::Absent => Knowledge::Absent,
            Knowledge::There(found) if found.size == size && !found.is_archived && is_young(&found) => {
                Knowledge::There(())
            }
            Knowledge::There(_) | Knowledge::Unknown => Knowledge::Unknown,
        }
    }

    async fn send(&self, blob: &Descriptor, key: &str, condition: Condition, from: &dyn BlobProvider) -> Result<()> {
        let stream = from.read(blob, None).await?;
        let to = Blocks { client: &self.client, key, condition };
        let sent = upload(stream, blob.size, &to, &self.client.config().environment().parts()).await;
        self.known.wrote(key);
        sent.map_err(|error| error.with("blob", blob.digest))
    }

    /// A present blob is left as it is, or refreshed.
    async fn keep(&self, key: &str, found: &Found) -> Pushed {
        let is_old = found.age.is_some_and(|age| age > REFRESH);
        // Without the right to refresh, or if another writer was faster, the check after the commit decides.
        if is_old && self.client.retrying(|| self.client.touch(key, found)).await.is_ok() {
            return Pushed::Refreshed;
        }
        Pushed::Present
    }

    /// Deletes a blob in the archive tier, which cannot be overwritten; returns the condition of the next write.
    async fn take_away(&self, key: &str, found: Found) -> Result<Condition> {
        match self.client.retrying(|| self.client.delete(key, &found.etag)).await {
            Ok(_) => Ok(Condition::Absent),
            // Who may not delete may find that it can be overwritten after all.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Condition::Match(found.etag)),
            Err(error) => Err(error),
        }
    }

    /// The outcome if the service reports that the blob was written meanwhile.
    async fn overtaken(&self, blob: &Descriptor, key: &str, from: &dyn BlobProvider, error: Error) -> Result<Pushed> {
        match self.head(key).await? {
            Some(found) if found.size == blob.size && !found.is_archived => Ok(Pushed::Present),
            // Azurite reports this for leftover blocks of an upload. Every writer of this name writes the same bytes.
            None => self.send(blob, key, Condition::Any, from).await.map(|()| Pushed::Uploaded),
            // Its blocks were dropped with those of the other.
            _ => {
                let again = error::new(ErrorKind::Unavailable, "somebody else wrote the blob at the same time");
                Err(self.client.with_context(again).with("blob", blob.digest).with_source(error))
            }
        }
    }

    /// Writes the first name; returns its ETag.
    async fn write_first(&self, key: &str, index: &Bytes, expect: &Expect) -> Result<String> {
        let written = self.write(key, index, &condition(expect)).await;
        let Err(error) = written else { return written };
        if error.kind() != ErrorKind::Conflict || matches!(expect, Expect::Any) {
            return Err(error);
        }
        // An export that starts again finds its own index.
        let own = self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(own) = own
            && let Ok(etag) = self.write(key, index, &Condition::Match(own)).await
        {
            return Ok(etag);
        }
        // A write whose answer was lost has happened, and the next try meets it.
        if error.tries().is_some()
            && let Ok(Some((found, etag))) = self.client.read(key, index.len() as u64).await
            && found == *index
        {
            return Ok(etag);
        }
        let message = "somebody else wrote first";
        Err(self.client.with_context(error::new(ErrorKind::Conflict, message)).with("key", key).with_source(error))
    }

    async fn write(&self, key: &str, index: &Bytes, condition: &Condition) -> Result<String> {
        self.client.retrying(|| self.client.put(key, index.clone(), condition)).await
    }
}

/// Whether a blob needs no refresh. If our clock is wrong, the check after the commit corrects that.
fn is_young(found: &Listed) -> bool {
    found.modified.is_none_or(|modified| modified > Timestamp::now().saturating_sub(REFRESH))
}

/// Whether the service refused a write because its condition is not met.
fn is_unmet(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.side().is_none()
}

/// A version without an ETag means that the first name does not exist.
fn condition(expect: &Expect) -> Condition {
    match expect {
        Expect::Any => Condition::Any,
        Expect::Absent => Condition::Absent,
        Expect::Version(version) if version.as_str().is_empty() => Condition::Absent,
        Expect::Version(version) => Condition::Match(version.as_str().to_owned()),
    }
}

#[async_trait]
impl CacheExporter for AzblobExporter {
    fn facts(&self) -> ExporterFacts {
        // A prune may delete present blobs, which the service does not notice.
        ExporterFacts { needs_recheck: true, ..ExporterFacts::default() }
    }

    fn prepare(&self, manifest: &CacheManifest, _: &Arc<dyn Progress>) {
        let keys = self.client.config().keys();
        self.known.expect(manifest.blobs().iter().map(|blob| keys.blob(&blob.digest)));
    }

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.ensure_container().await?;
        let key = self.client.config().keys().blob(&blob.digest);
        let is_absent = match self.listed(&key, blob.size).await {
            Knowledge::There(()) => return Ok(Pushed::Present),
            Knowledge::Absent => true,
            Knowledge::Unknown => self.checks.can_skip(blob.size),
        };
        if is_absent {
            match self.send(blob, &key, Condition::Absent, from).await {
                Ok(()) => return Ok(Pushed::Uploaded),
                Err(error) if is_unmet(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let found = self.head(&key).await?;
        self.checks.saw(found.is_some());
        let condition = match found {
            Some(found) if found.is_archived => self.take_away(&key, found).await?,
            Some(found) if found.size == blob.size => return Ok(self.keep(&key, &found).await),
            // A blob with another size is replaced.
            Some(found) => Condition::Match(found.etag),
            None => Condition::Absent,
        };
        match self.send(blob, &key, condition, from).await {
            Ok(()) => Ok(Pushed::Uploaded),
            Err(error) if is_unmet(&error) => self.overtaken(blob, &key, from, error).await,
            Err(error) => Err(error),
        }
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        // Present blobs are checked again after this.
        self.checks.reset();
        self.known.expire();
        let index = if manifest.is_empty() { Bytes::from_static(EMPTY) } else { manifest.encode_flat()? };
        self.client.config().limits().check_config(index.len() as u64)?;
        self.ensure_container().await?;
        let keys = self.client.config().keys();
        let etag = self.write_first(keys.first(), &index, &expect).await?;
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(etag.clone());
        for key in keys.manifests().iter().skip(1) {
            self.write(key, &index, &Condition::Any).await?;
        }
        Ok(Committed::new(None, Version::new(etag)))
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

impl fmt::Debug for AzblobExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzblobExporter").field("config", self.client.config()).finish_non_exhaustive()
    }
}
