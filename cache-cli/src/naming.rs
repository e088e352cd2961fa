//! How each kind of place names the caches of a store: the one table of it.

use cache_core::CacheSpec;

/// What in a spec names one cache of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// An attribute.
    Attribute(&'static str),
    /// An attribute, and `digest`, which goes before it.
    AttributeOrDigest(&'static str),
    /// The tag and the digest in `ref`.
    Reference,
}

const NAMINGS: [(&str, Naming); 6] = [
    ("azblob", Naming::Attribute("name")),
    ("gha", Naming::Attribute("scope")),
    ("local", Naming::AttributeOrDigest("tag")),
    ("memory", Naming::Attribute("name")),
    ("registry", Naming::Reference),
    ("s3", Naming::Attribute("name")),
];

/// What BuildKit calls a cache in an object store that nobody named.
const DEFAULT: &str = "buildkit";
const DIGEST: &str = "digest";
const REF: &str = "ref";

impl Naming {
    /// How specs of this kind do it; `None` where a store has no names.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        NAMINGS.iter().find(|(known, _)| *known == kind).map(|(_, naming)| *naming)
    }

    /// The kinds that name their caches, for messages.
    pub(crate) fn kinds() -> String {
        let kinds = NAMINGS.iter().map(|(kind, _)| *kind).filter(|kind| *kind != "memory");
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// What the name is called.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Attribute(name) | Self::AttributeOrDigest(name) => name,
            Self::Reference => "tag",
        }
    }

    /// The name that a spec says, if it says one.
    pub(crate) fn name(self, spec: &CacheSpec) -> Option<&str> {
        match self {
            Self::Attribute(name) | Self::AttributeOrDigest(name) => spec.get(name),
            Self::Reference => split_ref(spec.get(REF)?).1,
        }
    }

    /// The name of the cache that a spec leads to: the first of a list, and BuildKit's own where none is said.
    pub(crate) fn cache(self, spec: &CacheSpec) -> Option<&str> {
        match self {
            Self::Attribute(name) => {
                let names = spec.get(name).unwrap_or(DEFAULT);
                Some(names.split(';').next().unwrap_or_default())
            }
            Self::AttributeOrDigest(_) | Self::Reference => self.name(spec),
        }
    }

    /// The digest that a spec says, which goes before a name.
    pub(crate) fn digest(self, spec: &CacheSpec) -> Option<&str> {
        match self {
            Self::Attribute(_) => None,
            Self::AttributeOrDigest(_) => spec.get(DIGEST),
            Self::Reference => split_ref(spec.get(REF)?).2,
        }
    }

    /// The spec of the store: without what names one of its caches.
    pub(crate) fn without(self, spec: &CacheSpec) -> CacheSpec {
        let mut store = spec.clone();
        match self {
            Self::Attribute(name) => drop(store.remove(name)),
            Self::AttributeOrDigest(name) => [name, DIGEST].into_iter().for_each(|name| drop(store.remove(name))),
            Self::Reference => {
                let repository = spec.get(REF).map(|reference| split_ref(reference).0.to_owned());
                return repository.into_iter().fold(store, |store, repository| store.with(REF, repository));
            }
        }
        store
    }

    /// The spec of one of a store's caches.
    pub(crate) fn with(self, store: &CacheSpec, name: &str) -> CacheSpec {
        let spec = self.without(store);
        match self {
            Self::Attribute(attribute) | Self::AttributeOrDigest(attribute) => spec.with(attribute, name),
            Self::Reference => {
                let reference = format!("{}:{name}", spec.get(REF).unwrap_or_default());
                spec.with(REF, reference)
            }
        }
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
        for (store, named) in [
            ("type=azblob,account_url=u", "type=azblob,account_url=u,name=main"),
            ("type=gha,version=2", "type=gha,version=2,scope=main"),
            ("type=local,dest=x", "type=local,dest=x,tag=main"),
            ("type=registry,ref=h:5000/a", "type=registry,ref=h:5000/a:main"),
            ("type=s3,bucket=b,region=r", "type=s3,bucket=b,region=r,name=main"),
        ] {
            let (store, named): (CacheSpec, CacheSpec) = (store.parse().unwrap(), named.parse().unwrap());
            let naming = Naming::of(store.kind()).unwrap();
            assert_eq!((naming.with(&store, "main"), naming.name(&store)), (named.clone(), None));
            assert_eq!((naming.without(&named), naming.name(&named)), (store, Some("main")));
        }
        assert_eq!(Naming::of("inline"), None);
    }
}
