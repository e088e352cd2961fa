//! `copy --all`: every named cache of a store, each under its own name.

use cache_core::{CacheEntry, CacheStore, Side};

use super::Job;
use super::target::Target;
use crate::args::CopyArgs;
use crate::exit::Failure;
use crate::session::Session;
use crate::spec::Place;
use crate::text;

/// One job for each named cache; all of them are opened before the first one is written.
pub(super) async fn jobs(session: &Session, args: &CopyArgs) -> Result<Vec<Job>, Failure> {
    let mut source = Place::parse_on(Side::Source, &args.source)?;
    if source.store_spec() != source.spec {
        let failure = Failure::usage("--all takes every cache, and the source names one of them");
        return Err(failure.with_hint("leave tag, name and digest out of the source"));
    }
    let store = source.required_store(session).await?;
    let caches = store.caches().await.map_err(|error| source.explain(error))?;
    let (named, nameless): (Vec<_>, Vec<_>) =
        caches.into_iter().partition(|cache| cache.name.as_ref().is_some_and(|name| !name.is_empty()));
    if named.is_empty() {
        return Err(source.no_cache());
    }
    if !nameless.is_empty() {
        let left = text::count(nameless.len(), "cache");
        session.warn(format!("--all copies by name, and leaves out {left} without one"));
    }
    let mut jobs = Vec::with_capacity(named.len());
    for cache in named {
        jobs.push(job(session, args, (&source, &*store), &cache).await?);
    }
    Ok(jobs)
}

async fn job(
    session: &Session,
    args: &CopyArgs,
    (source, store): (&Place, &dyn CacheStore),
    cache: &CacheEntry,
) -> Result<Job, Failure> {
    let name = cache.name.as_deref().unwrap_or_default();
    let mut targets = Vec::with_capacity(args.destinations.len());
    for destination in &args.destinations {
        let place = named(Place::parse_on(Side::Destination, destination)?, name)?;
        targets.push(Target::open(session, args, place).await?);
    }
    let reader = store.open(cache).await.map_err(|error| source.explain(error).with("name", name))?;
    let mut place = source.clone();
    if let Some(attribute) = name_attribute(place.spec.kind()) {
        place.spec = place.spec.with(attribute, name);
    }
    Ok(Job { source: reader, place, targets })
}

/// The destination under the cache's name.
fn named(place: Place, name: &str) -> Result<Place, Failure> {
    let kind = place.spec.kind();
    let Some(attribute) = name_attribute(kind) else {
        let failure = Failure::usage(format!("--all cannot name caches at a destination of type={kind}"));
        return Err(failure.with_hint("type=local takes them"));
    };
    if place.spec.get(attribute).is_some() {
        let failure =
            Failure::usage(format!("--all gives every cache its own {attribute}, and the destination has one"));
        return Err(failure.with_hint(format!("leave {attribute} out of the destination")));
    }
    let mut named = place;
    named.spec = named.spec.with(attribute, name);
    Ok(named)
}

/// The attribute under which a kind of place takes a cache's name.
fn name_attribute(kind: &str) -> Option<&'static str> {
    match kind {
        "local" => Some("tag"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn place(spec: &str) -> Place {
        Place::parse_on(Side::Destination, spec).unwrap()
    }

    #[test]
    fn a_cache_keeps_its_name_at_the_destination() {
        let named = named(place("type=local,dest=x"), "main").unwrap();
        assert_eq!(named.spec.to_string(), "type=local,dest=x,tag=main");
    }

    #[test]
    fn a_destination_that_has_a_name_or_takes_none_is_refused() {
        for spec in ["type=local,dest=x,tag=y", "type=memory"] {
            assert_eq!(named(place(spec), "main").unwrap_err().exit, Exit::Usage, "{spec}");
        }
    }
}
