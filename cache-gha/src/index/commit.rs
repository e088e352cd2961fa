//! Writes the next index, and checks that readers get it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Event, Expect, Result};
use tokio::time::Instant;

use super::expected::{check, conflict};
use super::{Newest, newest};
use crate::error;
use crate::keys::{IndexName, is_same};
use crate::saving::with_key;
use crate::service::Found;
use crate::session::{Hold, Session};
use crate::signed::Entry;

/// The waits between two looks at whether the holder of a number is done.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How many dead numbers in a row are skipped, and how often a commit starts again after another writer's.
const MOST_DEAD: u32 = 50;
const MOST_ROUNDS: u32 = 100;
/// Some services (act, Gitea) count the age of entries in whole seconds, and return the oldest one of a second.
const A_SECOND: Duration = Duration::from_millis(1_100);
/// How often an index that readers do not find is written again.
const MOST_HIDDEN: u32 = 3;

/// Writes the next index, if the newest one is as expected, and returns its key.
pub(crate) async fn commit(session: &Arc<Session>, name: &IndexName, bytes: Bytes, expect: &Expect) -> Result<String> {
    let commit = Commit { session, name, bytes, expect };
    // The last number under which it was written in vain, and how often it was.
    let (mut last, mut hidden) = (0, 0);
    for _ in 0..MOST_ROUNDS {
        let newest = newest(session, name).await?;
        check(name, key(newest.as_ref()), expect)?;
        let Some((number, hold)) = commit.write_next(newest.as_ref(), last).await? else { continue };
        let key = name.key(number);
        match commit.look(number, &hold, self::key(newest.as_ref())).await? {
            None => return Ok(key),
            Some(other) if hidden >= MOST_HIDDEN => return Err(never_shown(&key, &other)),
            Some(_) => (last, hidden) = (number, hidden + 1),
        }
    }
    Err(error::new(ErrorKind::Conflict, "other writers were faster each time").with_tries(MOST_ROUNDS))
}

struct Commit<'a> {
    session: &'a Arc<Session>,
    name: &'a IndexName,
    bytes: Bytes,
    expect: &'a Expect,
}

impl Commit<'_> {
    /// How long a reserved number is waited for.
    fn patience(&self) -> Duration {
        self.session.config().environment().patience()
    }

    fn is_conditional(&self) -> bool {
        !matches!(self.expect, Expect::Any)
    }

    /// Writes under the number after the newest and after `last`, skipping numbers of dead holders; `None` if another
    /// index was finalised meanwhile.
    async fn write_next(&self, newest: Option<&Newest>, last: u64) -> Result<Option<(u64, Hold)>> {
        // A service that does not say which number is the newest has to be tried.
        let is_known = newest.is_none_or(|newest| newest.number.is_some());
        let mut number = newest.and_then(|newest| newest.number).unwrap_or(0).max(last);
        for _ in 0..MOST_DEAD {
            number = number.saturating_add(1);
            let key = self.name.key(number);
            if let Some(hold) = self.write(&key).await? {
                return Ok(Some((number, hold)));
            }
            if is_known && !self.is_holder_dead(&key, self::key(newest)).await? {
                return Ok(None);
            }
        }
        let error =
            error::new(ErrorKind::Unavailable, "too many numbers of the index are reserved and were never finished");
        Err(error.with("key", self.name.key(number)).with_retryable(false))
    }

    /// Writes under a key; `None` if another writer holds it.
    ///
    /// Some services give a reserved key to a second writer, so the condition is checked once more before the index is
    /// finalised.
    async fn write(&self, key: &str) -> Result<Option<Hold>> {
        let (session, name, expect) = (Arc::clone(self.session), self.name.clone(), self.expect.clone());
        let (bytes, is_conditional) = (self.bytes.clone(), self.is_conditional());
        let written = with_key(self.session, key, move |key, hold| async move {
            let (size, parts) = (bytes.len() as u64, hold.reservation.parts(bytes.len() as u64));
            session.retrying(|| parts.put(bytes.clone())).await?;
            if is_conditional {
                session.doubles(&key).await?;
                check(&name, self::key(newest(&session, &name).await?.as_ref()), &expect)?;
            }
            session.finalize(&key, &hold, size).await?;
            Ok(hold)
        });
        written.await.map_err(explain)
    }

    /// Waits for the holder of `key` until there is another index than `newest`, or until its time is over.
    async fn is_holder_dead(&self, key: &str, newest: Option<&str>) -> Result<bool> {
        let (begin, mut wait) = (Instant::now(), FIRST_WAIT);
        self.tell(&format!("waiting for another writer, which has reserved {key}"), self.patience());
        loop {
            let found = super::newest(self.session, self.name).await?;
            if self::key(found.as_ref()) != newest {
                return Ok(false);
            }
            let left = self.patience().saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(true);
            }
            tokio::time::sleep(wait.min(left)).await;
            wait = (wait * 3 / 2).min(LONGEST_WAIT);
        }
    }

    /// Checks whether readers get the written index, twice, a second apart. Returns the key that they get instead, if
    /// that is still `before`.
    async fn look(&self, number: u64, hold: &Hold, before: Option<&str>) -> Result<Option<String>> {
        let key = self.name.key(number);
        let Some(_) = self.look_once(number, hold, before).await? else { return Ok(None) };
        tokio::time::sleep(A_SECOND).await;
        let other = self.look_once(number, hold, before).await?;
        if let Some(other) = &other {
            self.tell(
                &format!("readers get {other} instead of {key}: the index is written again under a later number"),
                Duration::ZERO,
            );
        }
        Ok(other)
    }

    async fn look_once(&self, number: u64, hold: &Hold, before: Option<&str>) -> Result<Option<String>> {
        let key = self.name.key(number);
        let Some(Newest { found, number: shown }) = newest(self.session, self.name).await? else {
            return Ok(Some("nothing".to_owned()));
        };
        let is_as_before = before.is_some_and(|before| is_same(before, &found.key)) && shown != Some(number);
        match shown {
            None => return Ok(None),
            Some(_) if is_as_before => return Ok(Some(found.key)),
            // Another writer was concurrent: without a condition either may win.
            Some(_) if !self.is_conditional() => return Ok(None),
            Some(shown) if shown == number && self.is_ours(&key, &found, hold).await? => return Ok(None),
            // A writer that took longer than others wait may have been skipped by one that did not see its index.
            Some(shown) if shown > number && hold.since.elapsed() < self.patience() => {
                return self.check_built_on(&key, &found.key, hold).await.map(|()| None);
            }
            Some(_) => {}
        }
        Err(conflict(Some(&key), Some(&found.key)))
    }

    /// A later index was made on top of this one, unless two writers had the same key.
    async fn check_built_on(&self, key: &str, later: &str, hold: &Hold) -> Result<()> {
        let found = self.session.lookup(key).await?.filter(|found| is_same(&found.key, key));
        match found {
            Some(found) if !self.is_ours(key, &found, hold).await? => Err(conflict(Some(key), Some(later))),
            _ => Ok(()),
        }
    }

    /// Whether the entry under our key is ours: some services give a key to two writers.
    async fn is_ours(&self, key: &str, found: &Found, hold: &Hold) -> Result<bool> {
        if hold.reservation.is_at(&found.url) != Some(false) {
            return Ok(true);
        }
        let entry = Entry::new(Arc::clone(self.session), key.to_owned(), "cannot read the index back");
        let bytes = entry.found(found.url.clone()).document(self.session.config().limits().config).await?;
        Ok(bytes == self.bytes)
    }

    fn tell(&self, text: &str, wait: Duration) {
        self.session.progress().event(&Event::Retrying { error: text, wait });
    }
}

fn key(newest: Option<&Newest>) -> Option<&str> {
    newest.map(|newest| newest.found.key.as_str())
}

fn never_shown(key: &str, other: &str) -> Error {
    let error = error::new(ErrorKind::Unavailable, "the index is written, but the service gives readers another one");
    let error = error.with("key", key).with("found", other).with_retryable(false);
    error.with_hint("delete the existing caches of this scope, or use another scope")
}

/// BuildKit reports success here, and no reader ever sees that index.
fn explain(error: Error) -> Error {
    error.with_hint("the blobs are uploaded, but the index is not: run the export again, which uploads only the index")
}
