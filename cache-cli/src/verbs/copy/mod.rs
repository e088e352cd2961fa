//! `copy`: one cache, or every cache of a store, into one or more places.

mod all;
mod dry_run;
mod everywhere;
mod metadata;
pub(super) mod report;
mod target;

use cache_core::{CacheImporter, CacheManifest, Side};

use self::metadata::MetadataFile;
use self::report::Copies;
use self::target::Target;
use crate::args::CopyArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// One cache to read and where it goes.
struct Job {
    source: Box<dyn CacheImporter>,
    /// The cache's own spec, or that of the store with the cache's name.
    place: Place,
    /// The cache's name, where it is one of several.
    name: Option<String>,
    targets: Vec<Target>,
}

/// Copies; a failure of one destination does not stop the others.
pub(super) async fn run(session: &Session, args: &CopyArgs) -> Result<Exit, Failure> {
    let mut copies = Copies::new(args.dry_run);
    let jobs = match args.all {
        true => all::jobs(session, args, &mut copies).await?,
        false => vec![single(session, args).await?],
    };
    let mut targets = jobs.iter().flat_map(|job| &job.targets);
    if args.check_present && !targets.any(|target| target.place.is_directory()) {
        let failure = Failure::usage("--check-present is for directories, and no destination is one");
        return Err(failure.with_hint("verify reads what another store has"));
    }
    let metadata = args.metadata_file.as_deref().filter(|_| !args.dry_run).map(MetadataFile::open).transpose()?;
    let mut others = 0;
    for job in &jobs {
        match resolve(job).await {
            Ok(Some(manifest)) => {
                for copied in everywhere::copy(session, args, job, &manifest).await {
                    copies.add(copied.named(job.name.clone()));
                }
            }
            Ok(None) if args.all => others += 1,
            Ok(None) => return Err(job.place.no_cache_here(session).await),
            Err(failure) if args.all => {
                session.reporter.finish();
                session.fail(&failure);
                copies.fail(failure.exit);
            }
            Err(failure) => return Err(failure),
        }
    }
    if others > 0 {
        all::say_others(session, others);
        copies.others = others;
    }
    if others == jobs.len() && copies.exit() == Exit::Done {
        return Err(all::nothing(session, &args.source)?);
    }
    if let Some(metadata) = metadata {
        metadata.write(&copies)?;
    }
    output::print(session, &copies)?;
    Ok(copies.exit())
}

/// Opens the source and the destinations of a copy, so that a bad spec is refused before anything is written.
async fn single(session: &Session, args: &CopyArgs) -> Result<Job, Failure> {
    let mut place = Place::parse_on(session, Side::Source, &args.source)?;
    let source = place.importer(session).await?;
    let mut targets = Vec::with_capacity(args.destinations.len());
    for destination in &args.destinations {
        let place = Place::parse_on(session, Side::Destination, destination)?;
        targets.push(Target::open(session, args, place).await?);
    }
    Ok(Job { source, place, name: None, targets })
}

/// Reads the cache; `None` if the name leads to none.
async fn resolve(job: &Job) -> Result<Option<CacheManifest>, Failure> {
    let resolved = job.source.resolve().await.map_err(|error| job.place.explain(error))?;
    Ok(resolved.map(|resolved| resolved.manifest))
}

#[cfg(test)]
mod tests;
