//! Copies one cache to all of its destinations at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use cache_core::seams::Silent;
use cache_core::{CacheExporter, CacheManifest, Error, Expect, Side};
use cache_ops::{CopyOptions, CopyReport, Destination, ExportSettings, copy_many};

use super::Job;
use super::dry_run::DryRun;
use super::report::{Copied, Written};
use super::target::Target;
use crate::args::CopyArgs;
use crate::exit::Failure;
use crate::progress::CommitListener;
use crate::session::Session;

/// Copies to every destination and returns the outcomes in order.
pub(super) async fn copy(session: &Session, args: &CopyArgs, job: &Job, manifest: &CacheManifest) -> Vec<Copied> {
    let mut copied: BTreeMap<usize, Copied> = BTreeMap::new();
    for round in rounds(&job.targets) {
        copied.extend(copy_to(session, args, job, manifest, round).await);
        session.reporter.finish();
    }
    copied.values().for_each(|copied| say(session, copied));
    copied.into_values().collect()
}

/// Groups targets into rounds, with their positions. Two targets in one store are in different rounds, so that the
/// second one finds the blobs of the first one.
fn rounds(targets: &[Target]) -> Vec<Vec<(usize, &Target)>> {
    let mut rounds: Vec<Vec<(usize, &Target)>> = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        let store = target.place.store_key();
        let is_free = |round: &Vec<(usize, &Target)>| round.iter().all(|(_, other)| other.place.store_key() != store);
        match rounds.iter().position(is_free) {
            Some(round) => rounds[round].push((at, target)),
            None => rounds.push(vec![(at, target)]),
        }
    }
    rounds
}

/// A target with its settings and its condition for the commit.
struct Ready<'a> {
    at: usize,
    target: &'a Target,
    told: Arc<CommitListener>,
    settings: ExportSettings,
    dry_run: DryRun<'a>,
}

async fn copy_to(
    session: &Session,
    args: &CopyArgs,
    job: &Job,
    manifest: &CacheManifest,
    round: Vec<(usize, &Target)>,
) -> Vec<(usize, Copied)> {
    let start = Instant::now();
    let (mut copied, mut ready) = (Vec::new(), Vec::new());
    for (at, target) in round {
        match target.expect().await {
            Ok(expect) => ready.push(Ready::new(session, args, at, target, expect)),
            Err(error) => {
                copied.push((at, Copied::new(target, manifest, Err(error.into()), start.elapsed())));
            }
        }
    }
    let destinations: Vec<Destination<'_>> = ready.iter().map(|ready| ready.destination(args)).collect();
    let reports = copy_many(manifest, &*job.source, &destinations).await;
    drop(destinations);
    for (ready, report) in ready.into_iter().zip(reports) {
        let time = ready.told.time_of_commit().map_or_else(|| start.elapsed(), |committed| committed - start);
        let (at, target) = (ready.at, ready.target);
        let written = ready.written(args, report).map_err(|error| explain(job, target, error));
        copied.push((at, Copied::new(target, manifest, written, time)));
    }
    copied
}

impl<'a> Ready<'a> {
    fn new(session: &Session, args: &CopyArgs, at: usize, target: &'a Target, expect: Expect) -> Self {
        let told = CommitListener::new(Arc::clone(&session.reporter), format!("copy to {}", target.place.spec));
        let told = Arc::new(told.at((args.destinations.len() > 1).then(|| target.place.spec.to_string())));
        let settings = session.export_settings().with_expect(expect);
        let settings = match args.dry_run {
            // A dry run only looks blobs up, and shows no progress.
            true => settings.with_progress(Arc::new(Silent)),
            false => settings.with_progress(Arc::clone(&told) as _),
        };
        Self { at, target, told, settings, dry_run: DryRun::new(target.current.as_deref()) }
    }

    fn destination(&self, args: &CopyArgs) -> Destination<'_> {
        let to = if args.dry_run { &self.dry_run as &dyn CacheExporter } else { &*self.target.exporter };
        // The digest of a converted layer is known only after the conversion, which a dry run does not do.
        let conversion = self.target.conversion.clone().filter(|_| !args.dry_run);
        let options = CopyOptions::default().with_mode(self.target.mode).with_skip_missing(args.skip_missing);
        let options = options.with_conversion(conversion);
        Destination::new(to).with_options(options).with_settings(self.settings.clone())
    }

    fn written(self, args: &CopyArgs, report: Result<CopyReport, Error>) -> Result<Written, Error> {
        Ok(Written { copied: report?, would_push: args.dry_run.then(|| self.dry_run.into_blobs()) })
    }
}

fn explain(job: &Job, target: &Target, error: Error) -> Failure {
    let place = if error.side() == Some(Side::Source) { &job.place } else { &target.place };
    place.explain(error).into()
}

fn say(session: &Session, copied: &Copied) {
    match &copied.failure {
        Some(failure) if copied.is_ignored() => {
            session.warn(format!("{} (ignore-error is set)", failure.message));
        }
        Some(failure) => session.fail(failure),
        None => copied.warnings().iter().for_each(|warning| session.warn(warning)),
    }
}
