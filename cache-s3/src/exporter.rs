//! [`S3Exporter`]: writes a cache to a bucket, blob by blob, and the index last.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::{Committed, Contributions, ExporterFacts, Silent};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, Digest, Error, ErrorKind, Expect, Progress, Pushed, Result,
    Version,
};
use cache_kit::{Knowledge, Known, Reach, upload};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::S3Config;
use crate::age::age;
use crate::client::{Client, Condition, Found};
use crate::conditional;
use crate::error;
use crate::listing;
use crate::names;
use crate::parts::Parts;
use crate::refresh::refresh;
use crate::uploads::abort_uploads;

/// What S3 takes in one request at most, in bytes.
const LARGEST_PUT: u64 = 5 << 30;
/// The age from which an open upload is assumed to be that of a dead writer.
const DEAD: i64 = 24 * 60 * 60;
/// How long a look at an index, and a write to it after that, may take together.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(5);

/// A cache in a bucket, for writing.
///
/// * A push looks up the blob and its size, and refreshes an old one by copying it onto itself. If the store cannot
///   copy it, or it is archived, it is sent again. For more than 16 blobs one list replaces the lookups, as long as its
///   pages save requests.
/// * A store without uploads in parts gets each blob in one request, up to 5 GiB.
/// * An upload that fails or is dropped is aborted. The upload of a killed process stays open: the next run that sends
///   a large blob, and `prune`, abort uploads that are older than a day.
/// * A commit checks the blobs that were present when they were pushed. If one was deleted since, the commit fails with
///   [`ErrorKind::Unavailable`], and the export pushes and commits again.
/// * A conditional commit is one conditional write, if the store honours conditions, which is tried out once. If not,
///   publishers write their parts under names of their own until the cache contains them ([`Contributions`]), and lose
///   nothing. Any other conditional commit checks the index before it writes and after; if two writers fall between
///   each other's checks, both may succeed, and the later cache is there.
pub struct S3Exporter {
    client: Arc<Client>,
    /// How many pushes may run at once, if the spec limits it.
    slots: Option<Semaphore>,
    /// What a list tells about the blobs to push.
    known: Known<Found>,
    state: Mutex<State>,
    /// The store has refused to copy.
    cannot_copy: AtomicBool,
    /// The store has no uploads in parts.
    cannot_cut: AtomicBool,
    /// The store writes whatever the condition.
    overwrites: AtomicBool,
    clean_up: OnceCell<()>,
}

#[derive(Default)]
struct State {
    /// The blobs that a push has found, by key.
    present: BTreeSet<String>,
    /// A commit that was written and then found a blob missing: its condition, and its version.
    unfinished: Option<(Expect, Version)>,
}

impl S3Exporter {
    /// An exporter of the cache in `config`; nothing is sent before the first push or commit.
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        let slots = config.parallelism().map(Semaphore::new);
        Self {
            client: Arc::new(Client::new(config)),
            slots,
            known: Known::default(),
            state: Mutex::default(),
            cannot_copy: AtomicBool::new(false),
            cannot_cut: AtomicBool::new(false),
            overwrites: AtomicBool::new(false),
            clean_up: OnceCell::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The index, if it can be read back.
    pub(crate) fn encode(&self, manifest: &CacheManifest) -> Result<Bytes> {
        let bytes = manifest.encode_flat()?;
        self.client.config().limits().check_config(bytes.len() as u64)?;
        Ok(bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.slots.as_ref()?.acquire().await.ok()
    }

    /// Looks up a blob, in the list of all blobs if that is enough. It is not for an archived blob, which may have been
    /// restored since, or an old one, which is copied onto itself with its properties.
    async fn find(&self, key: &str, size: u64) -> Result<Option<Found>> {
        let list =
            |keys: Arc<BTreeSet<String>>| async move { listing::list(&self.client, &keys, Reach::Worthwhile).await };
        match self.known.find(key, size, list).await {
            Knowledge::Absent => Ok(None),
            Knowledge::There(found) if found.size == size && !found.is_archived && self.is_young(&found) => {
                Ok(Some(found))
            }
            Knowledge::There(_) | Knowledge::Unknown => self.client.retrying(|| self.client.head(key)).await,
        }
    }

    /// At `touch_refresh=0` all blobs are old, even one written in this second.
    fn is_young(&self, found: &Found) -> bool {
        let limit = i64::try_from(self.client.config().refresh_after().as_secs()).unwrap_or(i64::MAX);
        found.modified.is_none_or(|modified| limit > 0 && age(modified) <= limit)
    }

    async fn send(&self, key: String, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        let limits = self.client.tuning().parts();
        if blob.size > limits.part_size() {
            self.clean_up.get_or_init(|| self.abort_dead_uploads()).await;
        }
        let parts = Parts::new(Arc::clone(&self.client), key.clone(), blob);
        let is_whole = blob.size > limits.part_size() && !self.begin(&parts).await?;
        if is_whole {
            self.send_whole(&key, blob, from).await?;
        } else {
            upload(from.read(blob, None).await?, blob.size, &parts, limits).await?;
        }
        self.known.wrote(&key);
        Ok(Pushed::Uploaded)
    }

    /// Opens an upload in parts; returns whether the store supports such uploads.
    async fn begin(&self, parts: &Parts<'_>) -> Result<bool> {
        if self.cannot_cut.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let has_begun = parts.begin_early().await?;
        self.cannot_cut.store(!has_begun, Ordering::Relaxed);
        Ok(has_begun)
    }

    async fn send_whole(&self, key: &str, blob: &Descriptor, from: &dyn BlobProvider) -> Result<()> {
        if blob.size > LARGEST_PUT {
            let message = "the store takes no uploads in parts, and one of more than 5 GiB has to be in parts";
            return Err(self
                .client
                .with_context(error::new(ErrorKind::LimitExceeded, message).with("size", blob.size), key));
        }
        self.client.put_stream(key, from.read(blob, None).await?, blob.size).await
    }

    /// Once, by who uses such uploads; who may not list them cannot do anything about them either.
    async fn abort_dead_uploads(&self) {
        let _ = abort_uploads(&self.client, |begun| age(begun) > DEAD).await;
    }

    /// Keeps a present blob, and refreshes it if it is old; `None` if that is not possible.
    async fn keep(&self, key: &str, found: &Found) -> Result<Option<Pushed>> {
        if self.is_young(found) {
            self.state().present.insert(key.to_owned());
            return Ok(Some(Pushed::Present));
        }
        if self.cannot_copy.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match refresh(&self.client, key, found).await {
            Ok(()) => Ok(Some(Pushed::Refreshed)),
            Err(error) if is_worth_a_push(&error) => {
                self.cannot_copy.store(error.kind() != ErrorKind::NotFound, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the index under the first name, on the condition `expect`.
    async fn write(&self, bytes: &Bytes, expect: &Expect) -> Result<Version> {
        let config = self.client.config();
        let key = config.keys().manifest(config.first_name());
        let on = match expect {
            Expect::Any => return self.put(&key, bytes, Condition::None).await,
            Expect::Absent => Condition::Absent,
            Expect::Version(version) => Condition::Matches(version.as_str()),
        };
        if conditional::are_honoured(&self.client).await? {
            return self.put(&key, bytes, on).await;
        }
        let limit = config.limits().config;
        let found = self.client.version(&key, limit).await?;
        if found.as_deref() != expected(on) {
            return Err(self.conflict(&key, expected(on), found.as_deref()));
        }
        let (written, digest) = (self.put(&key, bytes, Condition::None).await?, Digest::sha256(bytes).to_string());
        match self.client.version(&key, limit).await? {
            Some(found) if found == written.as_str() || found == digest => Ok(Version::new(found)),
            found => Err(self.conflict(&key, Some(written.as_str()), found.as_deref())),
        }
    }

    pub(crate) async fn put(&self, key: &str, bytes: &Bytes, on: Condition<'_>) -> Result<Version> {
        let (digest, policy, mut tries) = (Digest::sha256(bytes), self.client.tuning().retry(), 0);
        let put = policy.run_final(&Silent, || {
            tries += 1;
            self.client.put(key, bytes.clone(), &digest, on)
        });
        let error = match put.await {
            Ok(etag) => return Ok(Version::new(etag)),
            Err(error) => error,
        };
        // The object of the condition does not exist.
        let is_gone = error.code() == Some("NoSuchKey");
        if on == Condition::None || !(error.kind() == ErrorKind::Conflict || is_gone) {
            return Err(error);
        }
        let limit = bytes.len() as u64;
        match self.client.retrying(|| self.client.read(key, limit)).await {
            // The answer to an earlier try was lost: that try has succeeded.
            Ok(Some((found, etag))) if tries > 1 && found == *bytes => Ok(Version::new(etag)),
            Ok(found) => Err(self.conflict(key, expected(on), found.as_ref().map(|(_, etag)| etag.as_str()))),
            Err(_) => Err(self.conflict(key, expected(on), Some("another cache"))),
        }
    }

    fn conflict(&self, key: &str, expected: Option<&str>, found: Option<&str>) -> Error {
        let error = error::new(ErrorKind::Conflict, "somebody else wrote first");
        let error = error.with("expected", expected.unwrap_or("nothing")).with("found", found.unwrap_or("nothing"));
        self.client.with_context(error, key)
    }

    /// Checks present blobs again, since a prune may have run in between.
    async fn check_present(&self) -> Result<()> {
        let present = std::mem::take(&mut self.state().present);
        self.known.expire();
        let found = listing::look(&self.client, &present).await?;
        let is_there = |key: &&String| found.get(*key).is_some_and(|found| !found.is_archived);
        let Some(gone) = present.iter().find(|key| !is_there(key)) else { return Ok(()) };
        let error = error::new(ErrorKind::Unavailable, "a blob was deleted while the cache was written");
        Err(self.client.with_context(error, gone))
    }
}

#[async_trait]
impl CacheExporter for S3Exporter {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, manifest: &CacheManifest, _: &Arc<dyn Progress>) {
        let keys = self.client.config().keys();
        self.known.expect(manifest.blobs().iter().map(|blob| keys.blob(&blob.digest)));
    }

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        let _slot = self.slot().await;
        let key = self.client.config().keys().blob(&blob.digest);
        let found = self.find(&key, blob.size).await?;
        if let Some(found) = found.filter(|found| found.size == blob.size && !found.is_archived)
            && let Some(kept) = self.keep(&key, &found).await?
        {
            return Ok(kept);
        }
        self.send(key, blob, from).await
    }

    /// Every name is written, the first one on the condition. A cache without layers is written too, as the empty
    /// object: BuildKit does that in object stores.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        let bytes = self.encode(manifest)?;
        let unfinished = self.state().unfinished.take().filter(|(before, _)| *before == expect);
        let now = match &unfinished {
            Some((Expect::Absent | Expect::Version(_), ours)) => Expect::Version(ours.clone()),
            _ => expect.clone(),
        };
        let config = self.client.config();
        let written = self.write(&bytes, &now).await;
        let version = names::explain(&self.client, config.first_name(), written).await?;
        for name in config.other_names() {
            let written = self.put(&config.keys().manifest(name), &bytes, Condition::None).await;
            names::explain(&self.client, name, written).await?;
        }
        if let Err(error) = self.check_present().await {
            self.state().unfinished = Some((expect, version));
            return Err(error);
        }
        let overwrites = now != Expect::Any && self.overwrites.load(Ordering::Relaxed);
        let settles_in = overwrites.then_some(SETTLE_TIME);
        Ok(Committed { settles_in, ..Committed::new(None, version) })
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        let is_conditional = conditional::are_honoured(&self.client).await?;
        self.overwrites.store(!is_conditional, Ordering::Relaxed);
        Ok(if is_conditional { None } else { Some(self) })
    }
}

/// The ETag that a condition requires.
fn expected(on: Condition<'_>) -> Option<&str> {
    match on {
        Condition::Matches(etag) => Some(etag),
        Condition::None | Condition::Absent => None,
    }
}

/// Whether a blob that cannot be copied may still be sent: the store cannot, may not, or has lost it.
fn is_worth_a_push(error: &Error) -> bool {
    let kinds = [ErrorKind::Unsupported, ErrorKind::PermissionDenied, ErrorKind::NotFound, ErrorKind::InvalidSpec];
    kinds.contains(&error.kind())
}

impl fmt::Debug for S3Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Exporter").field("config", self.client.config()).finish_non_exhaustive()
    }
}
