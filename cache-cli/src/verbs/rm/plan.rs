//! Which cache `rm` deletes, and which blobs with it.

use cache_core::seams::CacheEntry;
use cache_core::{CacheStore, Digest, Error};
use cache_ops::{EntryContent, Reach, Reached};

use crate::args::RmArgs;
use crate::exit::{Exit, Failure};
use crate::named::{label, select};
use crate::spec::Place;

/// What is to be deleted.
pub(super) struct Plan {
    pub(super) entry: CacheEntry,
    pub(super) content: EntryContent,
    /// The blobs that the cache reaches; empty without `--blobs`.
    pub(super) reach: Reach,
    /// The blobs that only this cache reaches; `None` without `--blobs`.
    pub(super) blobs: Option<Reach>,
}

impl Plan {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.entry.descriptor.as_ref().map(|manifest| manifest.digest)
    }

    /// Names the cache in a message, or says what else it is.
    pub(super) fn label(&self) -> String {
        let label = label(&self.entry);
        if self.content == EntryContent::Cache { label } else { format!("{label}, which is {}", is(self.content)) }
    }
}

/// Finds the cache that the spec names, and with `--blobs` the blobs that only it reaches.
///
/// A name of something other than a cache is deleted only with `--any`, and its blobs never are.
pub(super) async fn plan(store: &dyn CacheStore, place: &Place, args: &RmArgs) -> Result<Plan, Failure> {
    let listing = store.list().await.map_err(|error| place.explain(error))?;
    // Another name that cannot be read matters only if blobs are deleted.
    let name = place.cache_name().unwrap_or("latest");
    let caches = match listing.unreadable.iter().any(|unreadable| args.blobs || unreadable.name == name) {
        true => listing.whole().map_err(|error| place.explain(error))?,
        false => listing.caches,
    };
    let entry = select(&caches, place)?;
    let content = EntryContent::of(store, &entry).await.map_err(|error| place.explain(error))?;
    check(&entry, content, args)?;
    if !args.blobs {
        return Ok(Plan { entry, content, reach: Reach::default(), blobs: None });
    }
    let reach = Reach::of_entry(store, &entry).await.map_err(|error| {
        place.explain(error).with_hint("its blobs are not known; without --blobs the cache can be deleted")
    })?;
    let others: Vec<CacheEntry> = caches.into_iter().filter(|other| *other != entry).collect();
    let free = free(store, &reach, others).await.map_err(|error| place.explain(error))?;
    Ok(Plan { entry, content, reach, blobs: Some(free) })
}

/// Checks whether the flags allow to delete what the name leads to.
fn check(entry: &CacheEntry, content: EntryContent, args: &RmArgs) -> Result<(), Failure> {
    if content == EntryContent::Cache {
        return Ok(());
    }
    let what = format!("{} is {}", entry.name.as_deref().unwrap_or("it"), is(content));
    if args.blobs {
        let failure = Failure::usage(format!("{what}: --blobs deletes only the blobs of a cache"));
        return Err(failure.with_hint("leave --blobs out"));
    }
    if args.any {
        return Ok(());
    }
    let exit = match content {
        EntryContent::ImageWithCache => Exit::Usage,
        EntryContent::Unreadable => Exit::Failed,
        _ => Exit::NoCache,
    };
    let failure = Failure::new(exit, format!("{what}: nothing is deleted"));
    Err(failure.with_hint(match content {
        EntryContent::Missing => "repair looks for a manifest to point it to; --any deletes the name anyway",
        EntryContent::Unreadable => "repair says whether anything can be saved; --any deletes the name anyway",
        _ => "rm is for caches; --any deletes the name anyway, and never its blobs",
    }))
}

fn is(content: EntryContent) -> &'static str {
    match content {
        EntryContent::Cache => "a cache",
        EntryContent::ImageWithCache => "an image that holds a cache",
        EntryContent::Image => "an image, and no cache",
        EntryContent::Missing => "a name whose manifest is not there",
        EntryContent::Unreadable => "nothing that can be read",
        _ => "no cache",
    }
}

/// The part of `reach` that none of the other caches reaches.
///
/// # Errors
/// If one of them cannot be read, since what it reaches is then unknown.
pub(super) async fn free(store: &dyn CacheStore, reach: &Reach, others: Vec<CacheEntry>) -> Result<Reach, Error> {
    let kept = Reached::of_caches(store, others, &|_| {}).await;
    match kept.unreadable.into_iter().next() {
        Some(other) => Err(unreadable(&other.entry, other.error)),
        None => Ok(reach.outside(&kept.reached)),
    }
}

fn unreadable(cache: &CacheEntry, error: Error) -> Error {
    let message = format!("{} cannot be read, so it is unknown which blobs it needs", label(cache));
    Error::new(error.kind(), message).with_source(error).with_hint("repair that cache first, or leave out --blobs")
}
