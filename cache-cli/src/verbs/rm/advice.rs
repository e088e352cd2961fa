//! Which `rm` deletes a cache of which nothing can be saved.

use std::time::Duration;

use cache_ops::EntryContent;

use crate::exit::Failure;
use crate::named::select;
use crate::session::Session;
use crate::spec::Place;

/// How long the store may take to say what the name leads to.
const LOOK: Duration = Duration::from_secs(5);

/// Adds the command that deletes the cache to a failure, as a hint. No command is advised for a name of something else.
pub(crate) async fn advised(session: &Session, place: &Place, failure: Failure) -> Failure {
    let content = tokio::time::timeout(LOOK, content(session, place)).await.ok().flatten();
    let flags = match content {
        Some(EntryContent::Missing | EntryContent::Unreadable) => "--any --force",
        Some(EntryContent::Cache) | None => "--force",
        Some(_) => return failure,
    };
    failure.with_hint(format!("nothing can be saved of it: buildcache rm {flags} {}", place.spec))
}

/// What the name leads to; `None` if the store does not tell.
async fn content(session: &Session, place: &Place) -> Option<EntryContent> {
    let store = place.clone().store(session).await.ok()??;
    let entry = select(&store.list().await.ok()?.caches, place).ok()?;
    EntryContent::of(&*store, &entry).await.ok()
}
