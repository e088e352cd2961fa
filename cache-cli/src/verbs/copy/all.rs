//! `copy --all`: every named cache of a store, each under its own name.

use cache_core::seams::CacheEntry;
use cache_core::{CacheStore, Side};

use super::Job;
use super::report::Copies;
use super::target::Target;
use crate::args::CopyArgs;
use crate::exit::{Exit, Failure};
use crate::naming;
use crate::session::Session;
use crate::spec::Place;
use crate::text;

/// Returns one job for each named cache. All destinations are opened before the first one is written.
///
/// A name that cannot be read does not stop the others. It is a failure in `copies`.
pub(super) async fn jobs(session: &Session, args: &CopyArgs, copies: &mut Copies) -> Result<Vec<Job>, Failure> {
    let mut source = Place::parse_on(session, Side::Source, &args.source)?;
    if source.store_spec() != source.spec {
        let failure = Failure::usage("--all takes every cache, and the source names one of them");
        return Err(failure.with_hint("leave tag, name and digest out of the source"));
    }
    let store = source.required_store(session).await?;
    let listing = store.list().await.map_err(|error| source.explain(error))?;
    for unreadable in listing.unreadable {
        let failure = Failure::from(source.explain(unreadable.error).with("name", unreadable.name));
        session.fail(&failure);
        copies.fail(failure.exit);
    }
    let (named, nameless): (Vec<_>, Vec<_>) =
        listing.caches.into_iter().partition(|cache| cache.name.as_ref().is_some_and(|name| !name.is_empty()));
    if named.is_empty() && copies.exit() == Exit::Done {
        return Err(source.no_cache());
    }
    if !nameless.is_empty() {
        let left = text::count(nameless.len(), "cache");
        session.warn(format!("--all copies by name, and leaves out {left} without one"));
    }
    let mut jobs = Vec::with_capacity(named.len());
    for cache in named {
        jobs.push(job(session, args, &source, &*store, &cache).await?);
    }
    Ok(jobs)
}

/// Warns that some names lead to something other than caches.
pub(super) fn say_others(session: &Session, others: usize) {
    let names = text::count(others, "name");
    session
        .warn(format!("--all copies caches, and leaves out {names} of other things (images, charts, signatures, …)"));
}

/// The failure if no name in the store leads to a cache.
pub(super) fn nothing(session: &Session, source: &str) -> Result<Failure, Failure> {
    Ok(Place::parse_on(session, Side::Source, source)?.no_cache())
}

async fn job(
    session: &Session,
    args: &CopyArgs,
    source: &Place,
    store: &dyn CacheStore,
    cache: &CacheEntry,
) -> Result<Job, Failure> {
    let name = cache.name.as_deref().unwrap_or_default();
    let mut targets = Vec::with_capacity(args.destinations.len());
    for destination in &args.destinations {
        let place = named(session, Place::parse_on(session, Side::Destination, destination)?, name)?;
        targets.push(Target::open(session, args, place).await?);
    }
    let reader = store.open(cache).await.map_err(|error| source.explain(error).with("name", name))?;
    let mut place = source.clone();
    if let Some(naming) = place.naming() {
        place.spec = naming::with(naming, &place.spec, name);
    }
    Ok(Job { source: reader, place, name: Some(name.to_owned()), targets })
}

/// The destination, with the name of the cache.
fn named(session: &Session, place: Place, name: &str) -> Result<Place, Failure> {
    let kind = place.facts(session)?.kind;
    let Some(naming) = place.naming() else {
        let failure = Failure::usage(format!("--all cannot name caches at a destination of type={kind}"));
        return Err(failure.with_hint(format!("it can where type is one of {}", named_kinds(session))));
    };
    if place.store_spec() != place.spec {
        let label = naming::label(naming);
        let failure = Failure::usage(format!("--all gives every cache its own {label}, and the destination has one"));
        return Err(failure.with_hint(format!("leave {label} and digest out of the destination")));
    }
    let mut named = place;
    named.spec = naming::with(naming, &named.spec, name);
    Ok(named)
}

/// The types whose caches have names, for messages.
fn named_kinds(session: &Session) -> String {
    let named = session.backends.facts().filter(|facts| facts.naming.is_some());
    named.map(|facts| facts.kind).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use cache_core::seams::{BackendFacts, Naming};
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::session;

    fn named_main(spec: &str, facts: BackendFacts) -> Result<Place, Failure> {
        named(&session(&MemoryCache::new()), Place::of(spec, facts), "main")
    }

    #[test]
    fn a_cache_keeps_its_name_at_the_destination() {
        for (naming, destination, expected) in [
            (Naming::AttributeOrDigest("tag"), "type=local,dest=x", "type=local,dest=x,tag=main"),
            (Naming::Reference, "h:5000/team/app", "type=registry,ref=h:5000/team/app:main"),
            (Naming::Attribute("name"), "type=s3,bucket=b", "type=s3,bucket=b,name=main"),
            (Naming::AttributeOnBranch("scope"), "type=gha", "type=gha,scope=main"),
        ] {
            let facts = BackendFacts { naming: Some(naming), ..BackendFacts::new("any") };
            assert_eq!(named_main(destination, facts).unwrap().spec.to_string(), expected);
        }
    }

    #[test]
    fn a_destination_that_has_a_name_or_takes_none_is_refused() {
        for (naming, spec) in [
            (Some(Naming::AttributeOrDigest("tag")), "type=local,dest=x,tag=y"),
            (Some(Naming::Reference), "h:5000/app:y"),
            (Some(Naming::Attribute("name")), "type=s3,name=y"),
            (None, "type=inline,image=x"),
        ] {
            let facts = BackendFacts { naming, ..BackendFacts::new("any") };
            assert_eq!(named_main(spec, facts).unwrap_err().exit, Exit::Usage, "{spec}");
        }
    }
}
