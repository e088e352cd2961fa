//! `copy`: one cache, or every cache of a store, into one or more places.

mod all;
mod dry_run;
mod metadata;
mod report;
mod target;

use std::sync::Arc;
use std::time::Instant;

use cache_core::{CacheExporter, CacheImporter, CacheManifest, CopyOptions, Side, Silent, copy_manifest};

use self::dry_run::DryRun;
use self::report::{Copied, Copies};
use self::target::Target;
use crate::args::CopyArgs;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::spec::Place;
use crate::{messages, output};

/// One cache to read and where it goes.
struct Job {
    source: Box<dyn CacheImporter>,
    /// The cache's own spec, or that of the store with the cache's name.
    place: Place,
    targets: Vec<Target>,
}

/// Copies; what one destination refuses does not stop the others.
pub(super) async fn run(session: &Session, args: &CopyArgs) -> Result<Exit, Failure> {
    let jobs = if args.all { all::jobs(session, args).await? } else { vec![single(session, args).await?] };
    let mut copies = Copies::new(args.dry_run);
    for job in &jobs {
        match resolve(job).await {
            Ok(manifest) => {
                for target in &job.targets {
                    copies.add(copy_to(session, args, (job, &manifest), target).await);
                }
            }
            Err(failure) if args.all => {
                session.reporter.finish();
                messages::failure(&failure);
                copies.fail(failure.exit);
            }
            Err(failure) => return Err(failure),
        }
    }
    if let Some(file) = args.metadata_file.as_deref().filter(|_| !args.dry_run) {
        metadata::write(file, &copies)?;
    }
    output::print(session, &copies)?;
    Ok(copies.exit())
}

/// Opens both ends of a copy, so that a bad spec is refused before anything is written.
async fn single(session: &Session, args: &CopyArgs) -> Result<Job, Failure> {
    let mut place = Place::parse_on(Side::Source, &args.source)?;
    let source = place.importer(session).await?;
    let mut targets = Vec::with_capacity(args.destinations.len());
    for destination in &args.destinations {
        let place = Place::parse_on(Side::Destination, destination)?;
        targets.push(Target::open(session, args, place).await?);
    }
    Ok(Job { source, place, targets })
}

async fn resolve(job: &Job) -> Result<CacheManifest, Failure> {
    let resolved = job.source.resolve().await.map_err(|error| job.place.explain(error))?;
    Ok(resolved.ok_or_else(|| job.place.no_cache())?.manifest)
}

/// Copies to one destination and says what came of it.
async fn copy_to(session: &Session, args: &CopyArgs, from: (&Job, &CacheManifest), target: &Target) -> Copied {
    let start = Instant::now();
    session.reporter.announce(&format!("copy to {}", target.place.spec));
    let result = export(session, args, from, target).await;
    session.reporter.finish();
    let copied = Copied::new(target, from.1, result, start.elapsed());
    match &copied.failure {
        Some(failure) if target.ignores_errors => {
            session.warn(format!("{} (ignore-error is set)", failure.message));
        }
        Some(failure) => messages::failure(failure),
        None => {
            copied.warnings().iter().for_each(|warning| session.warn(warning));
            copied.summary().iter().for_each(|summary| session.reporter.note(summary));
        }
    }
    copied
}

async fn export(
    session: &Session,
    args: &CopyArgs,
    (job, manifest): (&Job, &CacheManifest),
    target: &Target,
) -> Result<report::Written, Failure> {
    let options = CopyOptions::default().with_mode(target.mode).with_skip_missing(args.skip_missing);
    let settings = session.export_settings().with_expect(target.expect().await?);
    let dry_run = DryRun::default();
    let (exporter, settings) = match args.dry_run {
        // What is merely looked up is no progress.
        true => (&dry_run as &dyn CacheExporter, settings.with_progress(Arc::new(Silent))),
        false => (&*target.exporter, settings),
    };
    let copied = copy_manifest(manifest.clone(), &*job.source, exporter, options, &settings).await;
    let copied = copied.map_err(|error| match error.side() {
        Some(Side::Source) => job.place.explain(error),
        _ => target.place.explain(error),
    })?;
    Ok(report::Written { copied, would_push: args.dry_run.then(|| dry_run.into_blobs()) })
}

#[cfg(test)]
mod tests;
