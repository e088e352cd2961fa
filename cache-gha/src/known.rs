//! Which blobs exist, by a list or by the present index, in place of a lookup for each.
//!
//! A list has 100 entries a page. So for many blobs there is no list: those that the index names count as present.
//! Before another index is written, four of them are looked up, and the number of blobs is requested, because the
//! service evicts entries that were unused for longest, and does not update the index.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::{CacheManifest, Descriptor, Digest, ErrorKind, Event, Result};
use cache_kit::{Accepted, FEW, PresenceChecks};
use tokio::sync::OnceCell;

use crate::error;
use crate::index;
use crate::keys::{self, BLOBS, IndexName, parse_blob};
use crate::session::Session;

/// The number of blobs from which a list takes more requests than an export may.
const MANY: usize = 300;

/// The blobs that this writer can read, as far as known.
pub(crate) struct Known {
    accepted: Accepted,
    checks: PresenceChecks,
    is_listed: OnceCell<bool>,
    blobs: Mutex<Blobs>,
}

#[derive(Default)]
struct Blobs {
    listed: HashSet<Digest>,
    /// Blobs that a push found in the list and did not send.
    trusted: HashSet<Digest>,
    /// Blobs that were sent since, which the list does not show.
    sent: HashSet<Digest>,
}

impl Known {
    /// Nothing is known yet. Not every service reports when a reserved key is taken already.
    pub(crate) fn new() -> Self {
        Self {
            accepted: Accepted::default(),
            checks: PresenceChecks::untold(),
            is_listed: OnceCell::new(),
            blobs: Mutex::default(),
        }
    }

    /// Sets the blobs that will be pushed.
    pub(crate) fn expect(&self, session: &Session, manifest: &CacheManifest) {
        let enough = if session.rest().is_some() { MANY } else { FEW };
        self.accepted.expect(manifest.blobs().len(), enough + 1);
    }

    /// Whether a blob exists.
    pub(crate) async fn has(&self, session: &Arc<Session>, blob: &Descriptor) -> Result<bool> {
        if self.accepted.has(blob, || named(session)).await {
            return Ok(true);
        }
        if let Some(is_listed) = self.lists(session, &blob.digest).await {
            return Ok(is_listed);
        }
        if self.checks.can_skip(blob.size) {
            return Ok(false);
        }
        let is_there = is_there(session, &blob.digest).await?;
        self.checks.saw(is_there);
        Ok(is_there)
    }

    /// Whether the blob is in the list, which is read once; `None` without a list, and for blobs that were sent since.
    async fn lists(&self, session: &Session, blob: &Digest) -> Option<bool> {
        if !*self.is_listed.get_or_init(|| self.list_first(session)).await {
            return None;
        }
        let mut blobs = self.blobs();
        if blobs.sent.contains(blob) {
            return None;
        }
        let has = blobs.listed.contains(blob);
        if has {
            blobs.trusted.insert(*blob);
        }
        Some(has)
    }

    /// Adds a blob that was sent.
    pub(crate) fn add(&self, blob: Digest) {
        self.blobs().sent.insert(blob);
    }

    /// Notes that a blob was present that was sent without a lookup.
    pub(crate) fn met(&self) {
        self.checks.reset();
    }

    /// Checks again the blobs that were present and not sent, which may have been evicted or deleted since. A repeated
    /// push corrects the error.
    pub(crate) async fn check(&self, session: &Session) -> Result<()> {
        // The next blobs are looked up.
        self.checks.reset();
        self.check_accepted(session).await?;
        self.check_listed(session).await
    }

    async fn check_accepted(&self, session: &Session) -> Result<()> {
        let sample = self.accepted.sample();
        if sample.is_empty() {
            return Ok(());
        }
        let mut is_doubtful = self.are_too_few(session).await?;
        for blob in &sample {
            is_doubtful = is_doubtful || !is_there(session, &blob.digest).await?;
        }
        if !is_doubtful {
            return Ok(());
        }
        self.accepted.doubt();
        Err(error::new(ErrorKind::Unavailable, "the service has evicted blobs that the index names"))
    }

    /// Whether the service has fewer blobs than were taken for present, if it tells how many it has.
    async fn are_too_few(&self, session: &Session) -> Result<bool> {
        let Some(rest) = session.rest() else { return Ok(false) };
        let readable = session.config().endpoint()?.token.readable();
        // Of several scopes any may have what another has too.
        let [scope] = &readable[..] else { return Ok(false) };
        // A failed count is ignored.
        let count = rest.count(BLOBS, scope, session.config().retry()).await;
        Ok(count.is_ok_and(|count| count < self.accepted.count() as u64))
    }

    async fn check_listed(&self, session: &Session) -> Result<()> {
        let trusted = std::mem::take(&mut self.blobs().trusted);
        if trusted.is_empty() {
            return Ok(());
        }
        let listed = list(session).await?;
        let gone = trusted.iter().filter(|blob| !listed.contains(blob)).min().copied();
        let mut blobs = self.blobs();
        for blob in &trusted {
            if !listed.contains(blob) {
                blobs.listed.remove(blob);
            }
        }
        drop(blobs);
        match gone {
            Some(blob) => {
                Err(error::new(ErrorKind::Unavailable, "a blob that was present has been deleted").with("blob", blob))
            }
            None => Ok(()),
        }
    }

    /// Whether a list is used. If it is refused, a note reports that, and blobs are looked up; BuildKit would treat a
    /// refusal as an empty list.
    async fn list_first(&self, session: &Session) -> bool {
        if session.rest().is_none() {
            return false;
        }
        match list(session).await {
            Ok(listed) => {
                self.blobs().listed = listed;
                true
            }
            Err(error) => {
                let text = format!("blobs are looked up one by one, because there is no list of them: {error}");
                session.progress().event(&Event::Retrying { error: &text, wait: std::time::Duration::ZERO });
                false
            }
        }
    }

    fn blobs(&self) -> MutexGuard<'_, Blobs> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The blobs that the newest index of the written scope names.
async fn named(session: &Arc<Session>) -> Result<Vec<Descriptor>> {
    let name = IndexName::new(session.config().scope(), session.written_scope()?);
    let read = index::read(session, &name).await?;
    Ok(read.map(|read| read.manifest.blobs().iter().map(|blob| blob.as_ref().clone()).collect()).unwrap_or_default())
}

/// Looks up a blob.
pub(crate) async fn is_there(session: &Session, blob: &Digest) -> Result<bool> {
    let key = keys::blob(blob);
    Ok(session.lookup(&key).await?.is_some_and(|found| keys::is_same(&found.key, &key)))
}

/// Every blob in the scopes that can be read.
async fn list(session: &Session) -> Result<HashSet<Digest>> {
    let Some(rest) = session.rest() else { return Ok(HashSet::new()) };
    let mut listed = HashSet::new();
    for scope in session.config().endpoint()?.token.readable() {
        let items = rest.list(BLOBS, Some(scope), session.config().retry()).await?;
        listed.extend(items.iter().filter_map(|item| parse_blob(&item.key)));
    }
    Ok(listed)
}
