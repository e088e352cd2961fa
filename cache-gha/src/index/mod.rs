//! The index: a sequence of entries with increasing numbers. Only the writer that has reserved a number may write it,
//! which gives a compare-and-swap although entries cannot change.

mod commit;
mod expected;

use std::sync::Arc;

use cache_core::{CacheManifest, ErrorKind, Result, Version};

pub(crate) use self::commit::commit;
use crate::error;
use crate::keys::{IndexName, is_same};
use crate::service::Found;
use crate::session::Session;
use crate::signed::Entry;

/// Between the keys of a version; no key holds it.
const SEPARATOR: char = ',';

/// An index that was read.
pub(crate) struct ReadIndex {
    pub(crate) key: String,
    pub(crate) manifest: CacheManifest,
}

/// Reads the newest index of this name.
pub(crate) async fn read(session: &Arc<Session>, name: &IndexName) -> Result<Option<ReadIndex>> {
    // Whatever is behind the #, BuildKit reads it too: only who writes the next one needs the number.
    match session.lookup(&name.prefix()).await? {
        Some(found) => read_found(session, found).await.map(Some),
        None => Ok(None),
    }
}

/// Reads the index with this key.
pub(crate) async fn read_exactly(session: &Arc<Session>, key: &str) -> Result<Option<ReadIndex>> {
    match session.lookup(key).await?.filter(|found| is_same(&found.key, key)) {
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

/// The newest entry of an index.
struct Newest {
    found: Found,
    /// `None` if the service does not return the key of the entry.
    number: Option<u64>,
}

/// The newest entry of an index; the service sorts by age, not by number.
async fn newest(session: &Session, name: &IndexName) -> Result<Option<Newest>> {
    let prefix = name.prefix();
    let Some(found) = session.lookup(&prefix).await? else { return Ok(None) };
    let number = name.number(&found.key);
    if number.is_some() || is_same(&found.key, &prefix) {
        return Ok(Some(Newest { found, number }));
    }
    let error = error::new(ErrorKind::InvalidManifest, "an entry of the index has no number after its #");
    Err(error.with("key", &found.key).with_hint("delete the entry; BuildKit's export fails on it too"))
}

/// The version of what was read: the keys of the indices.
pub(crate) fn version<'a>(keys: impl IntoIterator<Item = &'a str>) -> Version {
    Version::new(keys.into_iter().collect::<Vec<_>>().join(&SEPARATOR.to_string()))
}
