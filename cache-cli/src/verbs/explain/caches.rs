//! The caches that `explain` searches.

use std::collections::HashSet;

use cache_core::{CacheImporter, CacheManifest, Digest, ErrorKind};
use cache_ops::{BuildLog, ConsultedCache, Content, Depth, Doubted, Explanation, explain, verify};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::args::ExplainArgs;
use crate::exit::{Exit, Failure, with_causes};
use crate::report::digest_of;
use crate::session::Session;
use crate::spec::Place;

/// Caches of a store that are searched at most.
const SEARCHED: usize = 500;

/// All caches that were read.
pub(crate) struct Caches {
    pub(super) consulted: Vec<Opened>,
    pub(super) exported: Option<(Place, CacheManifest)>,
}

/// A cache to search.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) found: Found,
    pub(super) is_imported: bool,
    importer: Box<dyn CacheImporter>,
}

/// What a spec leads to.
pub(super) enum Found {
    Cache(Box<CacheManifest>),
    Absent,
    Unreadable(String),
}

impl Caches {
    /// Opens the caches of a command line. With one positional spec beside `--from`, that one is the export if it holds
    /// results that the build made.
    pub(crate) async fn open(session: &Session, args: &ExplainArgs, log: Option<&BuildLog>) -> Result<Self, Failure> {
        let mut caches = Self { consulted: Vec::new(), exported: None };
        let mut imported = vec![args.old.as_str()];
        match &args.new {
            Some(new) => caches.exported = read_export(session, new, log.is_some()).await?,
            None if !args.from.is_empty() && log.is_some() => {
                let first = open(session, &args.old, true).await?;
                let is_export =
                    matches!((&first.found, log), (Found::Cache(manifest), Some(log)) if log.made(manifest));
                if is_export {
                    caches.exported = read_export(session, &args.old, false).await?;
                    imported.clear();
                }
            }
            None => {}
        }
        imported.extend(args.from.iter().map(String::as_str));
        for spec in imported {
            caches.consulted.push(open(session, spec, true).await?);
        }
        for store in &args.search {
            caches.search(session, store).await?;
        }
        Ok(caches)
    }

    /// Opens the caches of a report. The first one with results that the build made is the export. Of the others, the
    /// first counts as imported, and the rest is searched.
    pub(crate) async fn of_report(session: &Session, specs: &[String], log: &BuildLog) -> Result<Self, Failure> {
        let mut caches = Self { consulted: Vec::new(), exported: None };
        for spec in specs {
            let mut cache = open(session, spec, caches.consulted.is_empty()).await?;
            match cache.found {
                Found::Cache(manifest) if caches.exported.is_none() && log.made(&manifest) => {
                    caches.exported = Some((Place::parse(session, spec)?, *manifest));
                }
                found => {
                    cache.found = found;
                    caches.consulted.push(cache);
                }
            }
        }
        Ok(caches)
    }

    /// Explains the build, then checks whether the results that were not used still exist, and explains it again if
    /// some do not.
    pub(crate) async fn explain(
        &self,
        session: &Session,
        log: Option<&BuildLog>,
        is_deep: bool,
    ) -> Result<Explanation, Failure> {
        let exported = self.exported.as_ref().map(|(_, manifest)| manifest);
        let mut lost = vec![HashSet::new(); self.consulted.len()];
        if is_deep {
            for (cache, lost) in self.consulted.iter().zip(&mut lost) {
                *lost = cache.unsound(session).await?;
            }
        }
        let first = explain(&self.sides(&lost), exported, log)?;
        let is_lost = |doubted: &Doubted| {
            let cache = &self.consulted[doubted.cache];
            let (at, blob) = (doubted.cache, doubted.blob);
            async move { Ok::<_, Failure>(cache.has_lost(&blob).await?.then_some((at, blob))) }
        };
        let looks: Vec<_> = first.doubted.iter().map(is_lost).collect();
        let found: Vec<Option<(usize, Digest)>> =
            stream::iter(looks).buffered(session.concurrency()).try_collect().await?;
        let mut is_changed = false;
        for (at, blob) in found.into_iter().flatten() {
            is_changed |= lost[at].insert(blob);
        }
        if is_changed { Ok(explain(&self.sides(&lost), exported, log)?) } else { Ok(first) }
    }

    fn sides(&self, lost: &[HashSet<Digest>]) -> Vec<ConsultedCache<'_>> {
        self.consulted.iter().zip(lost).map(|(cache, lost)| cache.side().with_lost(lost.clone())).collect()
    }

    /// Adds every cache of a store that is not known yet.
    async fn search(&mut self, session: &Session, spec: &str) -> Result<(), Failure> {
        let mut place = Place::parse(session, spec)?;
        let store = place.required_store(session).await?;
        let mut entries = store.caches().await.map_err(|error| place.explain(error))?;
        if entries.len() > SEARCHED {
            let (store, count) = (place.store_spec(), entries.len());
            session.warn(format!("{store} has {count} caches: the newest {SEARCHED} are searched"));
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
            entries.truncate(SEARCHED);
        }
        for entry in entries {
            let importer = store.open(&entry).await.map_err(|error| place.explain(error))?;
            let label = entry.name.clone().or_else(|| entry.descriptor.as_ref().map(|found| found.digest.to_string()));
            let name = format!("{} of {}", label.unwrap_or_else(|| "a cache".to_owned()), place.store_spec());
            match importer.resolve().await {
                Ok(Some(found)) if !self.has(&found.manifest) => {
                    let found = Found::Cache(Box::new(found.manifest));
                    self.consulted.push(Opened { name, found, is_imported: false, importer });
                }
                Ok(_) => {}
                Err(error) => session.warn(format!("{name} is skipped: {}", with_causes(&error))),
            }
        }
        Ok(())
    }

    fn has(&self, manifest: &CacheManifest) -> bool {
        let digest = digest_of(manifest);
        let exported = self.exported.as_ref().map(|(_, manifest)| digest_of(manifest));
        let consulted = self.consulted.iter().filter_map(|cache| match &cache.found {
            Found::Cache(manifest) => Some(digest_of(manifest)),
            _ => None,
        });
        digest.is_some() && consulted.chain(exported).any(|known| known == digest)
    }
}

impl Opened {
    fn side(&self) -> ConsultedCache<'_> {
        let content = match &self.found {
            Found::Cache(manifest) => Content::Cache(manifest),
            Found::Absent => Content::Absent,
            Found::Unreadable(why) => Content::Unreadable(why.clone()),
        };
        let make = if self.is_imported { ConsultedCache::imported } else { ConsultedCache::elsewhere };
        make(self.name.clone(), content)
    }

    /// Whether a blob is missing in the store, or has another size there.
    async fn has_lost(&self, blob: &Digest) -> Result<bool, Failure> {
        let Found::Cache(manifest) = &self.found else { return Ok(false) };
        let Some(blob) = manifest.descriptor(blob) else { return Ok(true) };
        let found = self.importer.stat(blob).await?;
        Ok(found.is_none_or(|found| found.size != blob.size))
    }

    /// The blobs in which a deep check finds an error.
    async fn unsound(&self, session: &Session) -> Result<HashSet<Digest>, Failure> {
        let Found::Cache(manifest) = &self.found else { return Ok(HashSet::new()) };
        let report = verify(manifest, &*self.importer, Depth::Deep, session.concurrency()).await?;
        let errors = report.findings.iter().filter(|finding| finding.code.is_error());
        Ok(errors.filter_map(|finding| finding.object.strip_prefix("blob ")?.parse().ok()).collect())
    }
}

/// Reads the export. With a log, a missing export is not a failure, since a build that fails writes none.
async fn read_export(session: &Session, spec: &str, has_log: bool) -> Result<Option<(Place, CacheManifest)>, Failure> {
    let mut place = Place::parse(session, spec)?;
    match place.resolve(session).await {
        Ok((_, resolved)) => Ok(Some((place, resolved.manifest))),
        Err(failure) if has_log && failure.exit == Exit::NoCache => {
            session.warn(format!("no cache at {}: causes are guessed from the log", place.spec));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Opens a cache. It may be absent or unreadable: both are causes of misses.
async fn open(session: &Session, spec: &str, is_imported: bool) -> Result<Opened, Failure> {
    let mut place = Place::parse(session, spec)?;
    let importer = place.importer(session).await?;
    let found = match importer.resolve().await {
        Ok(Some(resolved)) => Found::Cache(Box::new(resolved.manifest)),
        Ok(None) => Found::Absent,
        Err(error) if is_of_the_cache(error.kind()) => Found::Unreadable(with_causes(&error)),
        Err(error) => return Err(place.explain(error).into()),
    };
    Ok(Opened { name: place.spec.to_string(), found, is_imported, importer })
}

/// Whether the error is about the cache, and not about the connection to it.
fn is_of_the_cache(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidManifest | ErrorKind::DigestMismatch | ErrorKind::NotFound | ErrorKind::LimitExceeded
    )
}
