//! `report`: writes an HTML file about caches and a build.

use std::path::Path;

use cache_core::{CacheImporter, CacheManifest, Timestamp};
use cache_ops::{BuildLog, Depth, Explanation, verify};
use cache_report::{Dead, Report, ReportedCache, render};

use super::du::{StoreUsage, usages};
use super::explain::{Caches, read_log};
use crate::args::{OutputForm, ReportArgs};
use crate::exit::{Exit, Failure, with_causes};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// A cache that was read.
struct Read {
    name: String,
    manifest: CacheManifest,
    importer: Box<dyn CacheImporter>,
}

/// Reads the caches, explains the build if there is a log, and writes the page.
pub(super) async fn run(session: &Session, args: &ReportArgs) -> Result<Exit, Failure> {
    let Some(OutputForm::File(path)) = &session.globals.output else {
        let failure = Failure::usage("report writes an HTML file, and -o does not name one");
        return Err(failure.with_hint("buildcache report SPEC -o report.html; -o - writes it to stdout"));
    };
    let log = args.log.as_deref().map(read_log).transpose()?;
    let explanation = match &log {
        Some(log) => Some(explain(session, args, log).await?),
        None => None,
    };
    let caches = read_all(session, args).await?;
    let mut reported = Vec::with_capacity(caches.len());
    for cache in &caches {
        reported.push(reported_cache(session, cache, args.verify).await?);
    }
    let mut report = Report::new(reported, Timestamp::now());
    if let Some(explanation) = &explanation {
        report = report.with_explanation(explanation);
    }
    if args.store {
        report = report.with_dead(dead(session, &args.specs).await?);
    }
    write(path, render(&report).as_bytes())?;
    Ok(Exit::Done)
}

/// Explains the build of the log, with the roles of the caches as in [`Caches::of_report`].
async fn explain(session: &Session, args: &ReportArgs, log: &BuildLog) -> Result<Explanation, Failure> {
    Caches::of_report(session, &args.specs, log).await?.explain(session, Some(log), false).await
}

async fn read_all(session: &Session, args: &ReportArgs) -> Result<Vec<Read>, Failure> {
    let mut caches = Vec::new();
    for spec in &args.specs {
        let mut place = Place::parse(session, spec)?;
        if args.all {
            caches.extend(read_store(session, &mut place).await?);
        } else {
            let (importer, resolved) = place.resolve(session).await?;
            caches.push(Read { name: place.spec.to_string(), manifest: resolved.manifest, importer });
        }
    }
    if caches.is_empty() {
        return Err(Failure::new(Exit::NoCache, "there is no cache to report"));
    }
    Ok(caches)
}

/// Reads every cache of a store. Those that cannot be read are skipped with a warning.
async fn read_store(session: &Session, place: &mut Place) -> Result<Vec<Read>, Failure> {
    let store = place.required_store(session).await?;
    let mut caches = Vec::new();
    for entry in store.caches().await.map_err(|error| place.explain(error))? {
        let digest = entry.descriptor.as_ref().map(|manifest| manifest.digest.to_string());
        let name = entry.name.clone().or(digest).unwrap_or_else(|| "a cache".to_owned());
        let importer = store.open(&entry).await.map_err(|error| place.explain(error))?;
        match importer.resolve().await {
            Ok(Some(resolved)) => caches.push(Read { name, manifest: resolved.manifest, importer }),
            Ok(None) => {}
            Err(error) => session.warn(format!("{name} is skipped: {}", with_causes(&error))),
        }
    }
    Ok(caches)
}

async fn reported_cache<'a>(
    session: &Session,
    cache: &'a Read,
    is_verified: bool,
) -> Result<ReportedCache<'a>, Failure> {
    let reported = ReportedCache::new(cache.name.clone(), &cache.manifest);
    if !is_verified {
        return Ok(reported);
    }
    let found = verify(&cache.manifest, &*cache.importer, Depth::Fast, session.concurrency()).await?;
    Ok(reported.with_findings(found.findings))
}

/// Measures what no cache reaches in the stores of the caches.
async fn dead(session: &Session, specs: &[String]) -> Result<Dead, Failure> {
    let places: Vec<Place> = specs.iter().map(|spec| Place::parse(session, spec)).collect::<Result<_, _>>()?;
    let usages = usages(session, places).await?;
    let unreachable = usages.iter().filter_map(StoreUsage::unreachable);
    let (blobs, bytes) =
        unreachable.fold((0, 0_u64), |sum, (blobs, bytes)| (sum.0 + blobs, sum.1.saturating_add(bytes)));
    Ok(Dead::new(blobs, bytes))
}

/// Writes the page to a file, whole or not at all; `-` is stdout.
fn write(path: &Path, page: &[u8]) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        return output::write(page);
    }
    let failed =
        |error: &std::io::Error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.tmp", std::process::id()));
    let written = std::fs::write(&partial, page).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        failed(&error)
    })
}
