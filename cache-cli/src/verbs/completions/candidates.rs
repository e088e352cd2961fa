//! The completions of a spec that is being typed.

use std::fs;
use std::path::Path;

use cache_core::CacheSpec;
use cache_core::seams::{BackendFacts, Naming};
use cache_core::spec::{Attribute, Values};
use cache_ops::ExportOptions;

use crate::session::Session;
use crate::spec::Place;

/// Entries of a directory that are read at most, since a shell waits for the answer.
const MOST_ENTRIES: usize = 10_000;

/// The completions of `word`; none if it is not the beginning of a spec.
pub(super) async fn of(session: &Session, word: &str) -> Vec<String> {
    let (head, tail) = word.rfind(',').map_or(("", word), |comma| word.split_at(comma + 1));
    let continued = |tails: Vec<String>| tails.into_iter().map(|tail| format!("{head}{tail}")).collect();
    if head.is_empty() {
        return continued(types(session, tail));
    }
    let Some(facts) = facts_of(session, head) else { return Vec::new() };
    match tail.split_once('=') {
        None => continued(names(facts, head, tail)),
        Some((name, value)) => {
            let values = values(session, facts, head, name, value).await;
            continued(values.into_iter().map(|value| format!("{name}={value}")).collect())
        }
    }
}

fn types(session: &Session, tail: &str) -> Vec<String> {
    let types = session.backends.facts().map(|facts| format!("type={},", facts.kind));
    types.filter(|candidate| candidate.starts_with(tail)).collect()
}

fn facts_of(session: &Session, head: &str) -> Option<BackendFacts> {
    let kind = head.split(',').find_map(|field| field.strip_prefix("type="))?;
    session.backends.facts().find(|facts| facts.kind == kind)
}

/// The attributes that are not given yet.
fn names(facts: BackendFacts, head: &str, tail: &str) -> Vec<String> {
    let is_given = |name: &str| head.split(',').any(|field| field.split('=').next() == Some(name));
    let names = attributes(facts).map(|attribute| attribute.name);
    names.filter(|name| name.starts_with(tail) && !is_given(name)).map(|name| format!("{name}=")).collect()
}

fn attributes(facts: BackendFacts) -> impl Iterator<Item = Attribute> {
    facts.attributes.iter().copied().chain(ExportOptions::ATTRIBUTES)
}

async fn values(session: &Session, facts: BackendFacts, head: &str, name: &str, value: &str) -> Vec<String> {
    let Some(attribute) = attributes(facts).find(|attribute| attribute.name == name) else { return Vec::new() };
    let values = match attribute.values {
        Values::Bool => vec!["true".to_owned(), "false".to_owned()],
        Values::OneOf(values) => values.iter().map(|&value| value.to_owned()).collect(),
        Values::Directory => directories(value),
        _ if is_name(facts, name) => caches(session, head).await,
        _ => Vec::new(),
    };
    values.into_iter().filter(|candidate| candidate.starts_with(value)).collect()
}

/// Whether the attribute names a cache in a directory, which needs no network to be listed.
fn is_name(facts: BackendFacts, name: &str) -> bool {
    let naming = match facts.naming {
        Some(Naming::Attribute(naming) | Naming::AttributeOrDigest(naming)) => naming,
        _ => return false,
    };
    naming == name && !facts.paths.is_empty()
}

/// The names of the caches in the store; none if it cannot be read.
async fn caches(session: &Session, head: &str) -> Vec<String> {
    let Ok(spec) = head.trim_end_matches(',').parse::<CacheSpec>() else { return Vec::new() };
    let Ok(mut place) = Place::parse(session, &spec.to_string()) else { return Vec::new() };
    let Ok(Some(store)) = place.store(session).await else { return Vec::new() };
    let Ok(caches) = store.caches().await else { return Vec::new() };
    caches.into_iter().filter_map(|cache| cache.name).collect()
}

/// The directories that complete a path.
fn directories(value: &str) -> Vec<String> {
    let (folder, _) = value.rfind('/').map_or(("", value), |slash| value.split_at(slash + 1));
    let Ok(entries) = fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) }) else {
        return Vec::new();
    };
    let folders = entries.take(MOST_ENTRIES).filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| !name.starts_with('.')).map(|name| folder.to_owned() + &name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::session;

    async fn candidates(word: &str) -> Vec<String> {
        of(&session(&MemoryCache::new()), word).await
    }

    #[tokio::test]
    async fn a_spec_begins_with_a_type() {
        for word in ["", "ty", "type=", "type=me"] {
            assert_eq!(candidates(word).await, ["type=memory,"], "{word}");
        }
        assert!(candidates("ghcr.io/").await.is_empty());
    }

    #[tokio::test]
    async fn attributes_are_those_of_the_type_that_are_not_given_yet() {
        assert_eq!(candidates("type=memory,na").await, ["type=memory,name="]);
        assert_eq!(candidates("type=memory,name=a,na").await, [""; 0]);
        assert_eq!(candidates("type=memory,mo").await, ["type=memory,mode="]);
        assert!(candidates("type=nowhere,").await.is_empty());
    }

    #[tokio::test]
    async fn values_are_those_that_the_attribute_can_have() {
        assert_eq!(candidates("type=memory,mode=ma").await, ["type=memory,mode=max"]);
        assert_eq!(candidates("type=memory,ignore-error=").await.len(), 2);
        assert!(candidates("type=memory,name=").await.is_empty());
    }

    #[test]
    fn directories_are_those_below_what_is_typed() {
        assert!(directories("").contains(&"src".to_owned()));
        assert!(directories("src/").contains(&"src/verbs".to_owned()));
        assert_eq!(directories("nowhere/"), [""; 0]);
    }
}
