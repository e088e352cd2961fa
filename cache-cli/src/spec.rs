//! From a spec on the command line to an open cache.

use std::path::Path;
use std::time::Duration;

use cache_core::seams::{BackendFacts, CacheEntry, CacheProbe, Naming, Publisher};
use cache_core::spec::{Attribute, Values};
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Error, ErrorKind, Resolved, Side};
use cache_ops::ExportOptions;

use crate::argument;
use crate::exit::Failure;
use crate::naming;
use crate::session::Session;

/// Existing caches that are named in the hint for a missing one.
const NAMED: usize = 8;
/// How long they may take to list.
const LOOK: Duration = Duration::from_secs(5);

/// A spec, with the facts of its backend and its side in a copy.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) spec: CacheSpec,
    /// The facts of its backend; `None` if the backend is not built in or does not exist.
    facts: Option<BackendFacts>,
    side: Option<Side>,
}

impl Place {
    /// Parses the one spec of a verb.
    pub(crate) fn parse(session: &Session, argument: &str) -> Result<Self, Failure> {
        Ok(Self::new(session, argument::parse(argument, &session.backends)?, None))
    }

    /// Parses one end of a copy.
    pub(crate) fn parse_on(session: &Session, side: Side, argument: &str) -> Result<Self, Failure> {
        let spec = argument::parse(argument, &session.backends).map_err(|failure| failure.on(side))?;
        Ok(Self::new(session, spec, Some(side)))
    }

    fn new(session: &Session, spec: CacheSpec, side: Option<Side>) -> Self {
        let facts = session.backends.find(&spec).ok().map(CacheBackend::facts);
        Self { spec, facts, side }
    }

    /// Whether the cache is part of an image, which takes no layers.
    pub(crate) fn is_image(&self) -> bool {
        self.facts.is_some_and(|facts| facts.is_image)
    }

    /// Whether it is in a directory on this machine.
    pub(crate) fn is_directory(&self) -> bool {
        self.facts.is_some_and(|facts| !facts.paths.is_empty() && !facts.is_image)
    }

    /// Whether the place exists even if it is empty, as a directory can. Of other kinds of place, that is unknown until
    /// they hold something.
    pub(crate) fn is_there(&self) -> bool {
        let paths = self.facts.map_or(&[][..], |facts| facts.paths);
        self.is_directory() && paths.iter().filter_map(|name| self.spec.get(name)).any(|path| Path::new(path).is_dir())
    }

    /// The facts of its backend.
    ///
    /// # Errors
    /// If the program was built without the backend, or there is none.
    pub(crate) fn facts(&self, session: &Session) -> Result<BackendFacts, Failure> {
        match self.facts {
            Some(facts) => Ok(facts),
            None => Ok(session.backends.find(&self.spec).map_err(|error| self.explain(error))?.facts()),
        }
    }

    /// The attribute that names a cache, for a backend with names.
    pub(crate) fn naming(&self) -> Option<Naming> {
        self.facts?.naming
    }

    /// Opens the cache to read it. Attributes that only an export has (`mode=max` of a pasted `--cache-to`) are checked
    /// and ignored.
    pub(crate) async fn importer(&mut self, session: &Session) -> Result<Box<dyn CacheImporter>, Failure> {
        self.ignore_export_options()?;
        self.open(session, async |backend, spec| backend.importer(spec).await).await
    }

    pub(crate) async fn exporter(&mut self, session: &Session) -> Result<Box<dyn CacheExporter>, Failure> {
        self.open(session, async |backend, spec| backend.exporter(spec).await).await
    }

    /// The importer and the exporter of the place; the importer sees what the exporter replaces.
    pub(crate) async fn both_sides(&mut self, session: &Session) -> Result<Publisher, Failure> {
        self.open(session, async |backend, spec| backend.publisher(spec).await).await
    }

    /// The store of the cache; `None` for a kind of place without one.
    pub(crate) async fn store(&mut self, session: &Session) -> Result<Option<Box<dyn CacheStore>>, Failure> {
        self.ignore_export_options()?;
        self.open(session, async |backend, spec| backend.store(spec).await).await
    }

    /// The store of the cache.
    ///
    /// # Errors
    /// If this kind of place has none.
    pub(crate) async fn required_store(&mut self, session: &Session) -> Result<Box<dyn CacheStore>, Failure> {
        let store = self.store(session).await?;
        store.ok_or_else(|| Failure::usage(format!("type={} has no store that could be listed", self.spec.kind())))
    }

    /// A probe of the place.
    pub(crate) async fn required_probe(&mut self, session: &Session) -> Result<Box<dyn CacheProbe>, Failure> {
        let probe = self.open(session, async |backend, spec| backend.probe(spec).await).await?;
        probe.ok_or_else(|| {
            Failure::usage(format!("type={} has no probe: nothing can be tried there", self.spec.kind()))
        })
    }

    /// Reads the cache; it is a failure if there is none.
    pub(crate) async fn resolve(&mut self, session: &Session) -> Result<(Box<dyn CacheImporter>, Resolved), Failure> {
        let importer = self.importer(session).await?;
        let resolved = importer.resolve().await.map_err(|error| self.explain(error))?;
        match resolved {
            Some(resolved) => Ok((importer, resolved)),
            None => Err(self.no_cache_here(session).await),
        }
    }

    /// The name in the spec, if it has one.
    pub(crate) fn cache_name(&self) -> Option<&str> {
        naming::cache(self.naming()?, &self.spec)
    }

    /// The digest in the spec, which takes precedence over a name.
    pub(crate) fn cache_digest(&self) -> Option<&str> {
        naming::digest(self.naming()?, &self.spec).filter(|digest| !digest.is_empty())
    }

    /// The spec without the name of a cache.
    pub(crate) fn store_spec(&self) -> CacheSpec {
        self.naming().map_or_else(|| self.spec.clone(), |naming| naming::without(naming, &self.spec))
    }

    /// Equal for two places in one store, however they are written; a directory counts by its canonical path.
    pub(crate) fn store_key(&self) -> CacheSpec {
        let mut spec = self.store_spec();
        let paths = self.facts.map_or(&[][..], |facts| facts.paths);
        let given: Vec<String> = paths.iter().filter_map(|name| spec.remove(name)).collect();
        let (Some(&name), Some(directory)) = (paths.first(), given.into_iter().next()) else { return spec };
        let real = std::fs::canonicalize(&directory).map(|path| path.display().to_string());
        spec.with(name, real.unwrap_or(directory))
    }

    /// Whether the spec leads to a store that holds caches, and names none of them.
    pub(crate) async fn is_store_of_caches(&self, session: &Session) -> bool {
        self.naming().is_some() && self.store_spec() == self.spec && !self.neighbours(session).await.is_empty()
    }

    /// The failure if the cache does not exist.
    pub(crate) fn no_cache(&self) -> Failure {
        Failure::no_cache(&self.spec, self.side)
    }

    /// The same, with the names of the caches in the store.
    pub(crate) async fn no_cache_here(&self, session: &Session) -> Failure {
        self.no_cache_among(&self.neighbours(session).await)
    }

    /// The caches of the store; empty if they cannot be listed within [`LOOK`].
    async fn neighbours(&self, session: &Session) -> Vec<CacheEntry> {
        let listed = async { self.clone().store(session).await.ok()??.list().await.ok() };
        let listed = tokio::time::timeout(LOOK, listed).await.ok().flatten();
        listed.map(|listing| listing.caches).unwrap_or_default()
    }

    /// The same, with the names of these caches.
    pub(crate) fn no_cache_among(&self, caches: &[CacheEntry]) -> Failure {
        let names: Vec<&str> = caches.iter().filter_map(|cache| cache.name.as_deref()).collect();
        let failure = self.no_cache();
        match names.len() {
            0 => failure,
            _ if self.names_no_cache(caches) => {
                failure.with_hint("the name is there, but leads to an image without a cache, or to something else")
            }
            all @ 1..=NAMED => failure.with_hint(format!("{} there: {}", is_or_are(all), names.join(", "))),
            all => {
                let (first, more) = (names[..NAMED].join(", "), all - NAMED);
                failure.with_hint(format!("{} there: {first} and {more} more; ls lists them", is_or_are(all)))
            }
        }
    }

    /// Whether the name in the spec is among those of a store whose names may lead to other things than caches.
    fn names_no_cache(&self, caches: &[CacheEntry]) -> bool {
        let name = self.cache_name().unwrap_or("latest");
        let is_it = |entry: &CacheEntry| entry.name.as_deref() == Some(name) && entry.descriptor.is_some();
        self.cache_digest().is_none() && caches.iter().any(is_it)
    }

    /// Adds the cache to an error.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let error = match self.side {
            Some(side) => error.on(side),
            None => error,
        };
        error.with("cache", &self.spec)
    }

    /// Removes the attributes that every destination takes, for a cache that is changed in place. A bad value is an
    /// error.
    pub(crate) fn ignore_options(&mut self) -> Result<(), Failure> {
        ExportOptions::take(&mut self.spec).map(drop).map_err(|error| self.explain(error).into())
    }

    /// Removes the attributes that only a destination takes, of every kind and of this kind. A bad value is an error.
    fn ignore_export_options(&mut self) -> Result<(), Failure> {
        self.ignore_options()?;
        // An inline cache can only be written. Its attributes stay, so that the backend can say so.
        let facts = self.facts.filter(|facts| !facts.is_image);
        let attributes = facts.map_or(&[][..], |facts| facts.attributes);
        let is_of_exports = |attribute: &&Attribute| attribute.on_export && attribute.values == Values::Bool;
        for attribute in attributes.iter().filter(is_of_exports) {
            self.spec.attrs().bool(attribute.name).map(drop).map_err(|error| self.explain(error))?;
        }
        self.spec = self.spec.as_import(attributes);
        Ok(())
    }

    /// Opens the place; with `--ignore-unknown`, again without each attribute that the backend does not know.
    async fn open<T>(
        &mut self,
        session: &Session,
        open: impl AsyncFn(&dyn CacheBackend, &CacheSpec) -> cache_core::Result<T>,
    ) -> Result<T, Failure> {
        loop {
            let opened = match session.backends.find(&self.spec) {
                Ok(backend) => open(backend, &self.spec).await,
                Err(error) => Err(error),
            };
            let error = match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if !(session.globals.ignore_unknown && self.drop_unknown(session, &error)) {
                return Err(self.explain(error).into());
            }
        }
    }

    /// Removes the attribute that `error` reports as unknown, and warns.
    fn drop_unknown(&mut self, session: &Session, error: &Error) -> bool {
        let unknown = error.unknown_attribute().filter(|_| error.kind() == ErrorKind::InvalidSpec);
        if unknown.is_none_or(|name| self.spec.remove(name).is_none()) {
            return false;
        }
        let shown = error.context("unknown").unwrap_or_default();
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        session.warn(format!("attribute {shown} is ignored: type={} has none{hint}", self.spec.kind()));
        true
    }
}

fn is_or_are(caches: usize) -> &'static str {
    if caches == 1 { "one is" } else { "these are" }
}

#[cfg(test)]
mod tests {
    use cache_memory::MemoryCache;

    use super::*;
    use crate::exit::Exit;
    use crate::tests::{ignoring_unknown, session};

    impl Place {
        /// A place of a kind that the tests know nothing else of.
        pub(crate) fn of(spec: &str, facts: BackendFacts) -> Self {
            Self { spec: spec.parse().unwrap(), facts: Some(facts), side: None }
        }
    }

    #[tokio::test]
    async fn an_unknown_attribute_is_a_usage_error_with_a_hint() {
        let session = session(&MemoryCache::new());
        let mut place = Place::parse(&session, "type=memory,nmae=x").unwrap();
        let failure = place.importer(&session).await.err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("did you mean name?"));
    }

    #[tokio::test]
    async fn unknown_attributes_are_dropped_one_by_one_when_asked() {
        let session = ignoring_unknown(&MemoryCache::new());
        let mut place = Place::parse(&session, "type=memory,nmae=x,name=y,foo=bar").unwrap();
        place.importer(&session).await.unwrap();
        assert_eq!(place.spec.to_string(), "type=memory,name=y");
    }

    #[tokio::test]
    async fn a_pasted_export_spec_can_be_read() {
        let session = session(&MemoryCache::new());
        let mut place = Place::parse(&session, "type=memory,mode=max,compression=zstd,ignore-error=true").unwrap();
        assert!(place.importer(&session).await.is_ok());
        let mut place = Place::parse(&session, "type=memory,mode=most").unwrap();
        assert_eq!(place.importer(&session).await.err().unwrap().exit, Exit::Usage);
    }

    #[tokio::test]
    async fn an_unknown_type_is_never_ignored() {
        let session = ignoring_unknown(&MemoryCache::new());
        let mut place = Place::parse(&session, "type=nowhere").unwrap();
        let failure = place.importer(&session).await.err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn places_in_one_store_have_one_key() {
        let local = BackendFacts {
            naming: Some(Naming::AttributeOrDigest("tag")),
            paths: &["src", "dest"],
            ..BackendFacts::new("local")
        };
        let key = |spec: &str| Place::of(spec, local).store_key();
        assert_eq!(key("type=local,src=.,tag=a"), key("type=local,dest=./src/..,tag=b"));
        assert_ne!(key("type=local,src=."), key("type=local,src=.."));
        let memory = CacheBackend::facts(&MemoryCache::new());
        assert_eq!(Place::of("type=memory,name=a", memory).store_key(), Place::of("type=memory", memory).store_key());
    }

    #[tokio::test]
    async fn no_cache_names_the_place_and_the_side() {
        let session = session(&MemoryCache::new());
        let mut place = Place::parse_on(&session, Side::Source, "type=memory,name=x").unwrap();
        let failure = place.resolve(&session).await.err().unwrap();
        assert_eq!((failure.exit, &*failure.message), (Exit::NoCache, "source: no cache at type=memory,name=x"));
    }

    #[test]
    fn the_first_name_of_a_list_is_read() {
        let name = |spec: &str, naming| {
            Place::of(spec, BackendFacts { naming: Some(naming), ..BackendFacts::new("any") })
                .cache_name()
                .map(str::to_owned)
        };
        assert_eq!(name("type=s3,bucket=b,name=a;b", Naming::Attribute("name")).as_deref(), Some("a"));
        assert_eq!(name("type=s3,bucket=b", Naming::Attribute("name")).as_deref(), Some("buildkit"));
        assert_eq!(name("type=gha,token=t", Naming::AttributeOnBranch("scope")).as_deref(), Some("buildkit"));
    }

    #[test]
    fn a_reference_names_a_cache_and_its_store() {
        let registry = BackendFacts { naming: Some(Naming::Reference), ..BackendFacts::new("registry") };
        let place = Place::of("type=registry,ref=h:5000/a:t,registry.insecure=true", registry);
        assert_eq!((place.cache_name(), place.cache_digest()), (Some("t"), None));
        assert_eq!(place.store_spec().to_string(), "type=registry,ref=h:5000/a,registry.insecure=true");
    }
}
