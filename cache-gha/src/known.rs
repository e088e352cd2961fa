//! The blobs that a list has shown: with it, nobody has to be asked about one after the other.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::{Digest, ErrorKind, Event, Result};
use tokio::sync::OnceCell;

use crate::error;
use crate::keys::{BLOBS, parse_blob};
use crate::session::Session;

/// What is known of the blobs that this writer can read.
#[derive(Default)]
pub(crate) struct Known {
    is_listed: OnceCell<bool>,
    blobs: Mutex<Blobs>,
}

#[derive(Default)]
struct Blobs {
    listed: HashSet<Digest>,
    /// Those that a push found in the list and did not send.
    trusted: HashSet<Digest>,
    /// Those that were sent since, which the list does not show.
    sent: HashSet<Digest>,
}

impl Known {
    /// Whether the blob is in the list, which is fetched once; none without a list, and for what was sent since.
    pub(crate) async fn has(&self, session: &Session, blob: &Digest) -> Option<bool> {
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

    /// Looks once more at the blobs that were not sent because they were there: a limit of the repository, or somebody,
    /// may have taken them away since. The error can be cured by pushing again.
    pub(crate) async fn check(&self, session: &Session) -> Result<()> {
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
            Some(blob) => Err(error::new(ErrorKind::Unavailable, "a blob that was there is gone").with("blob", blob)),
            None => Ok(()),
        }
    }

    /// Without a list every blob is looked up, and that is said: BuildKit takes a refusal for an empty list.
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
