//! Which entry of a store a spec names.

use cache_core::Digest;
use cache_core::seams::{CacheEntry, Naming};

use crate::exit::Failure;
use crate::spec::Place;

/// Names an entry in a message.
pub(crate) fn label(cache: &CacheEntry) -> String {
    let digest = cache.descriptor.as_ref().map(|manifest| manifest.digest.to_string());
    match (&cache.name, digest) {
        (Some(name), Some(digest)) => format!("cache {name} ({digest})"),
        (Some(name), None) => format!("cache {name}"),
        (None, Some(digest)) => format!("cache {digest}"),
        (None, None) => "a cache without a name".to_owned(),
    }
}

/// Finds the entry with the digest or the name in the spec.
pub(crate) fn select(caches: &[CacheEntry], place: &Place) -> Result<CacheEntry, Failure> {
    let name = place.cache_name();
    let Some(digest) = place.cache_digest() else {
        if name == Some("") && matches!(place.naming(), Some(Naming::AttributeOrDigest(_))) {
            let failure = Failure::usage("an empty tag names no cache");
            return Err(failure.with_hint("select a cache without a name by its digest"));
        }
        if matches!(place.naming(), Some(Naming::AttributeOnBranch(_)))
            && by_name(caches, name.unwrap_or_default()).is_none()
        {
            return select_branch(caches, place, name.unwrap_or_default());
        }
        let found = by_name(caches, name.unwrap_or("latest")).or(match caches {
            // The layout of an image holds one entry, which has no name.
            [only] if name.is_none() && only.name.is_none() => Some(only),
            _ => None,
        });
        return found.cloned().ok_or_else(|| place.no_cache_among(caches));
    };
    let digest: Digest = digest.parse().map_err(|_| Failure::usage("the given digest is invalid"))?;
    let has_digest = |cache: &&CacheEntry| cache.descriptor.as_ref().is_some_and(|found| found.digest == digest);
    let has_name = |cache: &&CacheEntry| name.is_none_or(|name| cache.name.as_deref().unwrap_or_default() == name);
    let mut found = caches.iter().filter(has_digest).filter(has_name);
    match (found.next(), found.next()) {
        (None, _) => Err(place.no_cache_among(caches)),
        (Some(cache), None) => Ok(cache.clone()),
        (Some(one), Some(other)) => {
            let failure = Failure::usage(format!("several names lead to it: {}, {}", label(one), label(other)));
            Err(failure.with_hint("select one by its tag"))
        }
    }
}

/// Finds the cache of this name if only one branch has it. `ls` shows it as `name@refs/heads/main`.
fn select_branch(caches: &[CacheEntry], place: &Place, name: &str) -> Result<CacheEntry, Failure> {
    let begin = format!("{name}@");
    let is_named = |cache: &&CacheEntry| cache.name.as_ref().is_some_and(|full| full.starts_with(&begin));
    let found: Vec<&CacheEntry> = caches.iter().filter(is_named).collect();
    match found[..] {
        [] => Err(place.no_cache_among(caches)),
        [only] => Ok(only.clone()),
        _ => {
            let names: Vec<String> = found.iter().map(|cache| label(cache)).collect();
            let failure = Failure::usage(format!("several branches have it: {}", names.join(", ")));
            Err(failure.with_hint("select one by its full name, scope=NAME@REF"))
        }
    }
}

fn by_name<'a>(caches: &'a [CacheEntry], name: &str) -> Option<&'a CacheEntry> {
    caches.iter().find(|cache| cache.name.as_deref().unwrap_or_default() == name)
}
