//! `merge`: one cache of several, and the way in which concurrent jobs publish to one place.

mod report;

use cache_core::{
    CacheChains, CacheExporter, CacheImporter, CacheManifest, Error, ErrorKind, Expect, ManifestForm, Mode, Resolved,
    Side,
};
use cache_ops::{ExportReport, JoinedBlobs, export, publish};

use self::report::{Merge, Status};
use super::rewrite::destination;
use crate::args::MergeArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// A cache that is merged.
struct Source {
    place: Place,
    importer: Box<dyn CacheImporter>,
    resolved: Resolved,
}

/// The place that the union goes to, seen from both sides.
struct Target {
    place: Place,
    importer: Box<dyn CacheImporter>,
    exporter: Box<dyn CacheExporter>,
    mode: Option<Mode>,
}

/// Reads every source, and writes their union.
pub(super) async fn run(session: &Session, args: &MergeArgs) -> Result<Exit, Failure> {
    let target = open(session, &args.to).await?;
    // What the place holds before anything else is read is what it has to hold at the commit.
    let current = current(&target).await?;
    let sources = read(session, &args.sources).await?;
    let theirs =
        current.as_ref().filter(|_| args.publish && args.dry_run).map(|current| (&target.place, &current.manifest));
    let union = union(&sources, theirs, target.mode).await?;
    let manifest = union.to_manifest().with_form(form(&sources));
    let (status, written) = match (args.dry_run, args.publish) {
        (true, _) => (Status::DryRun, None),
        (false, true) => (Status::Published, Some(add(session, &union, &sources, &target).await?)),
        (false, false) => {
            let expect = current.map_or(Expect::Absent, |current| Expect::Version(current.version));
            (Status::Merged, Some(replace(session, &manifest, &sources, &target, expect).await?))
        }
    };
    // What was published is the union with what the place held, and only the place knows that.
    let published = match status {
        Status::Published => self::current(&target).await?.map(|current| current.manifest),
        _ => None,
    };
    let result = published.as_ref().unwrap_or(&manifest);
    let places = sources.iter().map(|source| (&source.place.spec, &source.resolved.manifest));
    output::print(session, &Merge::new(status, places, &target.place.spec, result, written.as_ref()))?;
    Ok(Exit::Done)
}

async fn open(session: &Session, to: &str) -> Result<Target, Failure> {
    let (mut place, options) = destination(session, to, None)?;
    if place.is_image() {
        let failure = Failure::usage(format!("destination: {} is an image and takes no merged cache", place.spec));
        return Err(failure.with_hint("merge to an ordinary cache and copy that into the image"));
    }
    let (importer, exporter) = place.both_sides(session).await?;
    if !place.facts(session)?.is_conditional {
        session.reporter.note(
            "a registry has no conditional writes: a writer that commits in the very same moment may not be noticed",
        );
    }
    Ok(Target { place, importer, exporter, mode: options.mode })
}

async fn current(target: &Target) -> Result<Option<Resolved>, Failure> {
    let resolved = target.importer.resolve().await;
    resolved
        .map_err(|error| target.place.explain(error.with_hint("rm the cache that is there, and merge again")).into())
}

async fn read(session: &Session, specs: &[String]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::with_capacity(specs.len());
    for spec in specs {
        let mut place = Place::parse_on(session, Side::Source, spec)?;
        let (importer, resolved) = place.resolve(session).await?;
        sources.push(Source { place, importer, resolved });
    }
    Ok(sources)
}

/// Everything that is in any of the sources, whatever their order.
async fn union(
    sources: &[Source],
    theirs: Option<(&Place, &CacheManifest)>,
    mode: Option<Mode>,
) -> Result<CacheChains, Failure> {
    let read = |(place, manifest): (&Place, &CacheManifest)| {
        let chains = CacheChains::from_manifest(manifest);
        chains.map_err(|error| place.explain(error.with_hint("repair it first")))
    };
    let mut failed = None;
    let parts = sources.iter().map(|source| (&source.place, &source.resolved.manifest)).chain(theirs);
    // One graph at a time: several big ones need not be in memory together.
    let graphs = parts.map_while(|part| read(part).map_err(|error| failed = Some(error)).ok());
    let mut union = CacheChains::new();
    union.merge_all(graphs)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if let Some(mode) = mode {
        union.select(mode).await?;
    }
    Ok(union)
}

/// The form that all sources share, which the union keeps.
fn form(sources: &[Source]) -> Option<ManifestForm> {
    let mut forms = sources.iter().map(|source| source.resolved.manifest.form());
    let first = forms.next().flatten()?;
    forms.all(|form| form == Some(first)).then_some(first)
}

/// The blobs of all sources.
fn blobs<'a>(sources: &'a [Source]) -> JoinedBlobs<'a> {
    let of_source =
        |blobs: JoinedBlobs<'a>, source: &'a Source| blobs.with(&source.resolved.manifest, &*source.importer);
    sources.iter().fold(JoinedBlobs::new(), of_source)
}

/// Adds the union to what the place holds, however often somebody else writes first.
async fn add(
    session: &Session,
    union: &CacheChains,
    sources: &[Source],
    target: &Target,
) -> Result<ExportReport, Failure> {
    let settings = session.export_settings_of(format!("publish to {}", target.place.spec));
    let place = (&*target.importer, &*target.exporter);
    let published = publish(union, &blobs(sources), place, &settings).await;
    session.reporter.finish();
    published.map_err(|error| explain(error, target).into())
}

/// Writes the union if the place still holds what it held.
async fn replace(
    session: &Session,
    manifest: &CacheManifest,
    sources: &[Source],
    target: &Target,
    expect: Expect,
) -> Result<ExportReport, Failure> {
    let settings = session.export_settings_of(format!("merge to {}", target.place.spec)).with_expect(expect);
    let written = export(manifest, &blobs(sources), &*target.exporter, &settings).await;
    session.reporter.finish();
    written.map_err(|error| {
        let is_lost = error.kind() == ErrorKind::Conflict;
        let error =
            if is_lost { error.with_hint("--publish merges with what is there and tries again") } else { error };
        explain(error, target).into()
    })
}

fn explain(error: Error, target: &Target) -> Error {
    match error.side() {
        Some(Side::Source) => error,
        _ => target.place.explain(error),
    }
}
