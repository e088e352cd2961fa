//! The index: one entry after the other, each with the next number. Whoever reserves a number may write it, which makes
//! a compare-and-swap of entries that cannot change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::{CacheManifest, Error, ErrorKind, Event, Expect, Result, Version};
use tokio::time::Instant;

use crate::error;
use crate::keys::{IndexName, parse_index};
use crate::saving::save_bytes;
use crate::service::Found;
use crate::session::{Hold, Session};
use crate::signed::Entry;

/// How long a number may be held while nothing is finalised; BuildKit waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(16);
/// The waits between two looks at whether the holder of a number is done.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How many dead numbers in a row are passed over, and how often a commit starts again behind somebody else's.
const MOST_DEAD: u32 = 50;
const MOST_ROUNDS: u32 = 100;
/// Between the keys of a version; no key holds it.
const SEPARATOR: char = ',';

/// An index that was read.
pub(crate) struct ReadIndex {
    pub(crate) key: String,
    pub(crate) manifest: CacheManifest,
}

/// Reads the newest index of this name.
pub(crate) async fn read(session: &Arc<Session>, name: &IndexName) -> Result<Option<ReadIndex>> {
    match newest(session, name).await? {
        Some(found) => read_found(session, found).await.map(Some),
        None => Ok(None),
    }
}

/// Reads the index with this key.
pub(crate) async fn read_exactly(session: &Arc<Session>, key: &str) -> Result<Option<ReadIndex>> {
    match session.lookup(key).await?.filter(|found| found.key == key) {
        Some(found) => read_found(session, found).await.map(Some),
        None => Ok(None),
    }
}

async fn read_found(session: &Arc<Session>, found: Found) -> Result<ReadIndex> {
    let Found { key, url } = found;
    let entry = Entry::new(Arc::clone(session), key.clone(), "cannot read the index").found(url);
    let bytes = entry.document(session.config().limits().config).await?;
    let manifest = CacheManifest::decode_flat(bytes).map_err(|error| error.with("key", &key))?;
    Ok(ReadIndex { key, manifest })
}

/// The newest entry of an index; the service knows by their age which one that is, not by their numbers.
async fn newest(session: &Session, name: &IndexName) -> Result<Option<Found>> {
    let Some(found) = session.lookup(&name.prefix()).await? else { return Ok(None) };
    if name.number(&found.key).is_some() {
        return Ok(Some(found));
    }
    let error = error::new(ErrorKind::InvalidManifest, "an entry of the index has no number after its #");
    Err(error.with("key", &found.key).with_hint("delete the entry; BuildKit fails on it too"))
}

/// The state of the places that were read: the keys of their indices.
pub(crate) fn version<'a>(keys: impl IntoIterator<Item = &'a str>) -> Version {
    Version::new(keys.into_iter().collect::<Vec<_>>().join(&SEPARATOR.to_string()))
}

/// Writes the next index, if the newest one is as expected, and gives its key.
pub(crate) async fn commit(session: &Arc<Session>, name: &IndexName, bytes: Bytes, expect: &Expect) -> Result<String> {
    for _ in 0..MOST_ROUNDS {
        let newest = newest(session, name).await?.map(|found| found.key);
        check(name, newest.as_deref(), expect)?;
        let Some((key, hold)) = take_number(session, name, newest.as_deref()).await? else { continue };
        save_bytes(session, &key, &hold, bytes).await.map_err(explain)?;
        if !matches!(expect, Expect::Any) {
            check_alive(session, name, (&key, &hold)).await?;
        }
        return Ok(key);
    }
    Err(error::new(ErrorKind::Conflict, "others wrote again and again").with_tries(MOST_ROUNDS))
}

/// The number after the newest, or the first one after it whose holder is alive no more; none when somebody has
/// finalised another index in the meantime.
async fn take_number(session: &Session, name: &IndexName, newest: Option<&str>) -> Result<Option<(String, Hold)>> {
    let mut number = newest.and_then(|key| name.number(key)).unwrap_or(0);
    for _ in 0..MOST_DEAD {
        number = number.saturating_add(1);
        let key = name.key(number);
        if let Some(hold) = session.reserve(&key).await? {
            return Ok(Some((key, hold)));
        }
        if !is_holder_dead(session, name, (&key, newest)).await? {
            return Ok(None);
        }
    }
    let error =
        error::new(ErrorKind::Unavailable, "too many numbers of the index are reserved and were never finished");
    Err(error.with("key", name.key(number)).with_retryable(false))
}

/// Waits for whoever holds `key`, until another index than `newest` is there, or for as long as one may take.
async fn is_holder_dead(session: &Session, name: &IndexName, (key, newest): (&str, Option<&str>)) -> Result<bool> {
    let (begin, mut wait) = (Instant::now(), FIRST_WAIT);
    let text = format!("another writer has reserved {key} and is waited for");
    session.progress().event(&Event::Retrying { error: &text, wait: PATIENCE });
    loop {
        let found = self::newest(session, name).await?;
        if found.as_ref().map(|found| found.key.as_str()) != newest {
            return Ok(false);
        }
        let left = PATIENCE.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(true);
        }
        tokio::time::sleep(wait.min(left)).await;
        wait = (wait * 3 / 2).min(LONGEST_WAIT);
    }
}

/// Whoever took longer than others wait for him may have been passed over by one who did not see his index.
async fn check_alive(session: &Session, name: &IndexName, (key, hold): (&str, &Hold)) -> Result<()> {
    if hold.since.elapsed() < PATIENCE {
        return Ok(());
    }
    let found = newest(session, name).await?.map(|found| found.key);
    if found.as_deref() == Some(key) { Ok(()) } else { Err(conflict(Some(key), found.as_deref())) }
}

fn check(name: &IndexName, newest: Option<&str>, expect: &Expect) -> Result<()> {
    let expected = match expect {
        Expect::Any => return Ok(()),
        Expect::Absent => None,
        Expect::Version(version) => match expected_key(name, version) {
            Ok(expected) => expected,
            Err(other) => return Err(conflict(Some(other), newest)),
        },
    };
    if expected == newest { Ok(()) } else { Err(conflict(expected, newest)) }
}

/// The key that this index had when the version was read, which may be that of several scopes; an error for what is no
/// version of an index.
fn expected_key<'a>(name: &IndexName, version: &'a Version) -> Result<Option<&'a str>, &'a str> {
    let keys = || version.as_str().split(SEPARATOR);
    if keys().any(|key| parse_index(key).is_none()) {
        return Err(version.as_str());
    }
    Ok(keys().find(|key| name.number(key).is_some()))
}

fn conflict(expected: Option<&str>, found: Option<&str>) -> Error {
    let error = error::new(ErrorKind::Conflict, "somebody else wrote first");
    error.with("expected", expected.unwrap_or("nothing")).with("found", found.unwrap_or("nothing"))
}

/// BuildKit reports success here, and nobody ever sees that index.
fn explain(error: Error) -> Error {
    error.with_hint("the blobs are there and the index is not: the export can be run again, and uploads only the index")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> IndexName {
        IndexName::new("buildkit", "refs/heads/main")
    }

    #[test]
    fn a_version_of_several_scopes_counts_for_the_one_that_is_written() {
        let (main, other) = (name().key(3), IndexName::new("buildkit", "refs/heads/other").key(7));
        let both = version([other.as_str(), main.as_str()]);
        check(&name(), Some(&main), &Expect::Version(both.clone())).unwrap();
        assert_eq!(
            check(&name(), Some(&name().key(4)), &Expect::Version(both)).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        let others = Expect::Version(version([other.as_str()]));
        check(&name(), None, &others).unwrap();
        assert_eq!(check(&name(), Some(&main), &others).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_version_of_another_store_is_a_conflict() {
        let foreign = Expect::Version(Version::new("sha256:12"));
        assert_eq!(check(&name(), None, &foreign).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn without_a_condition_anything_is_replaced() {
        check(&name(), None, &Expect::Any).unwrap();
        check(&name(), Some("x#1"), &Expect::Any).unwrap();
        assert!(check(&name(), Some(&name().key(1)), &Expect::Absent).is_err());
    }
}
