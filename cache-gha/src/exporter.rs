//! [`GhaExporter`]: writes a cache for the Git ref of a job.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, Error, ErrorKind, Event, Expect, Progress, Pushed, Result,
    Version,
};
use tokio::time::Instant;

use crate::keys::{self, IndexName};
use crate::known::{Known, is_there};
use crate::saving::{Saved, save};
use crate::session::Session;
use crate::{GhaConfig, error, index};

/// For how many bytes of another job's upload a second more is waited, and how long at most.
const BYTES_A_SECOND: u64 = 4 << 20;
const MOST_PATIENCE: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A cache of GitHub Actions, for writing: for the Git ref that the token can write.
///
/// Entries cannot be changed. A blob is uploaded once for all caches of the repository that can read it, and each
/// commit writes an index with the next number. Every blob that the token can read counts as present.
pub struct GhaExporter {
    session: Arc<Session>,
    known: Known,
}

impl GhaExporter {
    /// An exporter of the cache in `config`. With a read-only token the first push fails.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a token that has expired.
    pub fn new(config: GhaConfig) -> Result<Self> {
        Ok(Self { session: Arc::new(Session::open(config)?), known: Known::new() })
    }

    async fn push_blob(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.session.written_scope()?;
        let key = keys::blob(&blob.digest);
        if self.known.has(&self.session, blob).await? {
            return Ok(Pushed::Present);
        }
        let stream = from.read(blob, None).await?;
        match save(&self.session, &key, blob.size, stream).await? {
            Saved::Done => {
                self.known.add(blob.digest);
                Ok(Pushed::Uploaded)
            }
            Saved::Taken => {
                self.known.met();
                self.wait_for_other(blob, &key).await
            }
        }
    }

    /// Finds out what a taken key means: a present blob, a blob that another job is sending, or one that a job has
    /// failed to send, which no reader will ever see.
    async fn wait_for_other(&self, blob: &Descriptor, key: &str) -> Result<Pushed> {
        let patience = self.session.config().environment().patience();
        let patience = (patience + Duration::from_secs(blob.size / BYTES_A_SECOND)).min(MOST_PATIENCE);
        let (begin, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            if is_there(&self.session, &blob.digest).await? {
                return Ok(Pushed::Present);
            }
            let left = patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(never_finished(key));
            }
            if wait == FIRST_WAIT {
                let text = format!("waiting for another writer, which has reserved {key}");
                self.session.progress().event(&Event::Retrying { error: &text, wait: patience });
            }
            tokio::time::sleep(wait.min(left)).await;
            wait = (wait * 3 / 2).min(LONGEST_WAIT);
        }
    }

    async fn commit_index(&self, manifest: &CacheManifest, expect: &Expect) -> Result<Version> {
        let scope = self.session.written_scope()?;
        self.known.check(&self.session).await?;
        let name = IndexName::new(self.session.config().scope(), scope);
        let bytes = manifest.encode_flat()?;
        self.session.config().limits().check_config(bytes.len() as u64)?;
        let key = index::commit(&self.session, &name, bytes, expect).await?;
        Ok(index::version([key.as_str()]))
    }
}

fn never_finished(key: &str) -> Error {
    let error = error::new(ErrorKind::Locked, "the blob was reserved by another job and never finished");
    error.with("key", key).with_hint(
        "the key stays locked until the service forgets it: results that need the blob are left out; another branch can export them",
    )
}

#[async_trait]
impl CacheExporter for GhaExporter {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, manifest: &CacheManifest, progress: &Arc<dyn Progress>) {
        self.known.expect(&self.session, manifest);
        // The index is one upload more.
        self.session.watch(progress, manifest.blobs().len() + 1);
    }

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        let pushed = self.push_blob(blob, from).await;
        if pushed.is_ok() {
            self.session.count_down();
        }
        pushed.map_err(|error| self.session.with_context(error))
    }

    /// If a list shows that a present blob was deleted, the error is [`ErrorKind::Unavailable`], and the export can be
    /// repeated. An index that cannot be uploaded is an error, and its number stays used.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        let committed = self.commit_index(manifest, &expect).await;
        let settles_in = self.session.settles_in();
        let committed = committed.map(|version| Committed { settles_in, ..Committed::new(None, version) });
        committed.map_err(|error| self.session.with_context(error))
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

impl fmt::Debug for GhaExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GhaExporter").field("config", self.session.config()).finish_non_exhaustive()
    }
}
