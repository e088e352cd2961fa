//! The name of a cache in a spec, by the [`Naming`] of its backend.

use cache_core::CacheSpec;
use cache_core::seams::Naming;

/// BuildKit's default name of a cache in an object store.
const DEFAULT: &str = "buildkit";
const DIGEST: &str = "digest";
const REF: &str = "ref";

/// What a name is called in messages: the attribute, or `tag`.
pub(crate) fn label(naming: Naming) -> &'static str {
    attribute(naming).unwrap_or("tag")
}

/// The name in a spec, if it has one.
pub(crate) fn name(naming: Naming, spec: &CacheSpec) -> Option<&str> {
    match attribute(naming) {
        Some(attribute) => spec.get(attribute),
        None => split_ref(spec.get(REF)?).1,
    }
}

/// The name of the cache that a spec reads: the first of a list, or BuildKit's default if the spec has none.
pub(crate) fn cache(naming: Naming, spec: &CacheSpec) -> Option<&str> {
    match naming {
        Naming::Attribute(name) | Naming::AttributeOnBranch(name) => {
            let names = spec.get(name).unwrap_or(DEFAULT);
            Some(names.split(';').next().unwrap_or_default())
        }
        _ => name(naming, spec),
    }
}

/// The digest in a spec, which takes precedence over a name.
pub(crate) fn digest(naming: Naming, spec: &CacheSpec) -> Option<&str> {
    match naming {
        Naming::AttributeOrDigest(_) => spec.get(DIGEST),
        Naming::Reference => split_ref(spec.get(REF)?).2,
        _ => None,
    }
}

/// The spec of the store, without the name of a cache.
pub(crate) fn without(naming: Naming, spec: &CacheSpec) -> CacheSpec {
    let mut store = spec.clone();
    let Some(attribute) = attribute(naming) else {
        let repository = spec.get(REF).map(|reference| split_ref(reference).0.to_owned());
        return repository.into_iter().fold(store, |store, repository| store.with(REF, repository));
    };
    drop(store.remove(attribute));
    if matches!(naming, Naming::AttributeOrDigest(_)) {
        drop(store.remove(DIGEST));
    }
    store
}

/// The spec of one of a store's caches.
pub(crate) fn with(naming: Naming, store: &CacheSpec, name: &str) -> CacheSpec {
    let spec = without(naming, store);
    match attribute(naming) {
        Some(attribute) => spec.with(attribute, name),
        None => {
            let reference = format!("{}:{name}", spec.get(REF).unwrap_or_default());
            spec.with(REF, reference)
        }
    }
}

/// The attribute that holds the name; `None` where `ref` does.
fn attribute(naming: Naming) -> Option<&'static str> {
    match naming {
        Naming::Attribute(name) | Naming::AttributeOnBranch(name) | Naming::AttributeOrDigest(name) => Some(name),
        _ => None,
    }
}

/// The repository, the tag and the digest of a reference; a colon before the last slash is that of a port.
fn split_ref(reference: &str) -> (&str, Option<&str>, Option<&str>) {
    let (named, digest) = match reference.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (reference, None),
    };
    match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag), digest),
        _ => (named, None, digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_repository_and_the_cache_in_it() {
        assert_eq!(split_ref("h:5000/a/b"), ("h:5000/a/b", None, None));
        assert_eq!(split_ref("h:5000/a/b:t@sha256:12"), ("h:5000/a/b", Some("t"), Some("sha256:12")));
    }

    #[test]
    fn a_name_is_put_in_and_taken_out_again() {
        for (naming, store, named) in [
            (Naming::Attribute("name"), "type=s3,bucket=b,region=r", "type=s3,bucket=b,region=r,name=main"),
            (Naming::AttributeOnBranch("scope"), "type=gha,version=2", "type=gha,version=2,scope=main"),
            (Naming::AttributeOrDigest("tag"), "type=local,dest=x", "type=local,dest=x,tag=main"),
            (Naming::Reference, "type=registry,ref=h:5000/a", "type=registry,ref=h:5000/a:main"),
        ] {
            let (store, named): (CacheSpec, CacheSpec) = (store.parse().unwrap(), named.parse().unwrap());
            assert_eq!((with(naming, &store, "main"), name(naming, &store)), (named.clone(), None));
            assert_eq!((without(naming, &named), name(naming, &named)), (store, Some("main")));
        }
    }
}
