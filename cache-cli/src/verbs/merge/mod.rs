//! `merge`: merges several caches into one; with `--publish`, concurrent jobs add to one cache.

pub(super) mod report;

use cache_core::manifest::ManifestForm;
use cache_core::seams::Publisher;
use cache_core::{
    CacheChains, CacheExporter, CacheImporter, CacheManifest, Error, ErrorKind, Expect, Mode, Resolved, Side,
};
use cache_ops::{
    ExportReport, JoinedBlobs, Leftovers, PublishSettings, PublishWay, Published, SizeLimit, export, publish,
};

use self::report::{Merge, Status};
use super::rewrite::destination;
use crate::args::MergeArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;
use crate::text;

/// A cache that is merged.
struct Source {
    place: Place,
    importer: Box<dyn CacheImporter>,
    resolved: Resolved,
}

/// The destination of the union, with its importer and its exporter.
struct Target {
    place: Place,
    importer: Box<dyn CacheImporter>,
    exporter: Box<dyn CacheExporter>,
    mode: Option<Mode>,
    limit: Option<SizeLimit>,
}

/// Reads every source, and writes their union.
pub(super) async fn run(session: &Session, args: &MergeArgs) -> Result<Exit, Failure> {
    let target = open(session, args).await?;
    // The destination is read before the sources. At the commit it has to hold the same.
    let current = current(&target).await?;
    let sources = read(session, &args.sources).await?;
    let union = union(&sources, target.mode).await?;
    let theirs = current.as_ref().filter(|_| args.publish);
    // A config that is too large is an error before anything is written.
    let manifest = fit(&with(&union, theirs, &target)?, form(&sources, theirs), &target)?;
    let (status, result, written) = match (args.dry_run, args.publish) {
        (true, _) => (Status::DryRun, manifest, None),
        (false, true) => {
            let published = add(session, &union, &sources, &target).await?;
            (Status::Published, published.manifest, Some(published.export))
        }
        (false, false) => {
            let expect = current.map_or(Expect::Absent, |current| Expect::Version(current.version));
            let written = replace(session, &manifest, &sources, &target, expect).await?;
            (Status::Merged, manifest, Some(written))
        }
    };
    let places = sources.iter().map(|source| (&source.place.spec, &source.resolved.manifest));
    output::print(session, &Merge::new(status, places, &target.place.spec, &result, written.as_ref()))?;
    Ok(Exit::Done)
}

async fn open(session: &Session, args: &MergeArgs) -> Result<Target, Failure> {
    let (mut place, options) = destination(session, &args.to, None)?;
    if place.is_image() {
        let failure = Failure::usage(format!("destination: {} is an image and takes no merged cache", place.spec));
        return Err(failure.with_hint("merge to an ordinary cache and copy that into the image"));
    }
    let Publisher { importer, exporter } = place.both_sides(session).await?;
    let facts = place.facts(session)?;
    if !facts.is_conditional && !args.publish {
        session.reporter.note(
            "this place has no conditional writes: a writer that commits at the same moment may not be noticed; use --publish to lose nothing",
        );
    }
    let limit = args.max_config_size.map(SizeLimit::Shrink).or(facts.import_limit.map(SizeLimit::Refuse));
    Ok(Target { place, importer, exporter, mode: options.mode, limit })
}

async fn current(target: &Target) -> Result<Option<Resolved>, Failure> {
    let resolved = target.importer.resolve().await.map_err(|error| {
        let hint = error.hint().unwrap_or("rm the cache that is there, and merge again").to_owned();
        target.place.explain(error.with_hint(hint))
    })?;
    if resolved.as_ref().is_some_and(|resolved| !resolved.manifest.inline_images().is_empty()) {
        let message = format!("{} holds an image, and a cache would replace it", target.place.spec);
        return Err(Failure::new(Exit::Failed, message).with_hint("write the cache under another name"));
    }
    Ok(resolved)
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

/// The union of all sources. Their order does not matter.
async fn union(sources: &[Source], mode: Option<Mode>) -> Result<CacheChains, Failure> {
    let read = |source: &Source| {
        let chains = CacheChains::from_manifest(&source.resolved.manifest);
        chains.map_err(|error| source.place.explain(error.with_hint("repair it first")))
    };
    let mut failed = None;
    // One graph at a time, so that several large ones are not in memory together.
    let graphs = sources.iter().map_while(|source| read(source).map_err(|error| failed = Some(error)).ok());
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

/// Merges the union with the cache at the destination.
fn with(union: &CacheChains, theirs: Option<&Resolved>, target: &Target) -> Result<CacheChains, Failure> {
    let mut whole = union.clone();
    if let Some(theirs) = theirs {
        let chains = CacheChains::from_manifest(&theirs.manifest);
        whole.merge(&chains.map_err(|error| target.place.explain(error.with_hint("repair it first")))?)?;
    }
    Ok(whole)
}

/// The manifest of a union, made to fit the size limit.
fn fit(union: &CacheChains, form: Option<ManifestForm>, target: &Target) -> Result<CacheManifest, Failure> {
    let manifest = union.to_manifest().with_form(form);
    let Some(limit) = target.limit else { return Ok(manifest) };
    limit.fit(manifest).map_err(|error| explain(error, target).into())
}

/// The form to write: that of the cache at the destination, or the one that all sources share.
fn form(sources: &[Source], theirs: Option<&Resolved>) -> Option<ManifestForm> {
    if let Some(theirs) = theirs {
        return theirs.manifest.form();
    }
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

/// Publishes the union: adds it to the cache at the destination, again if another writer was first.
async fn add(
    session: &Session,
    union: &CacheChains,
    sources: &[Source],
    target: &Target,
) -> Result<Published, Failure> {
    let export = session.export_settings_of(format!("publish to {}", target.place.spec));
    let settings = PublishSettings::default().with_export(export).with_limit(target.limit);
    let published = publish(union, &blobs(sources), &*target.importer, &*target.exporter, &settings).await;
    session.reporter.finish();
    let published = published.map_err(|error| explain(error, target))?;
    if let PublishWay::Timed { wait, list } = &published.way {
        let why = list.as_ref().map(|why| format!(" (contributions of others cannot be listed: {why})"));
        session.reporter.note(&format!(
            "this store has no conditional writes{}: nothing is lost as long as no job takes longer than {} s to commit",
            why.unwrap_or_default(),
            wait.as_secs_f32()
        ));
    }
    if let Some(Leftovers { names, error, .. }) = &published.leftovers {
        let old = text::count(names.len(), "old contribution");
        session.warn(format!(
            "{old} of publishers cannot be removed ({}, …): {error}",
            names.first().map_or("", |name| name.as_str())
        ));
    }
    Ok(published)
}

/// Writes the union if the destination has not changed.
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
    let error = match error.kind() {
        ErrorKind::LimitExceeded if error.hint().is_none() => error.with_hint(
            "--max-config-size drops the oldest results, and optimize drops what no lookup needs; a larger size writes it anyway",
        ),
        _ => error,
    };
    match error.side() {
        Some(Side::Source) => error,
        _ => target.place.explain(error),
    }
}
