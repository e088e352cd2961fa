//! Where a verb that changes a cache reads it and writes it: in place, on condition that nobody wrote in between, or
//! somewhere else.

use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Error, Expect, ExportReport, FindingCode,
    Mode, Resolved, Side, export,
};

use crate::exit::{Exit, Failure, with_causes};
use crate::session::Session;
use crate::spec::Place;
use crate::unreadable;

/// A cache that is read, and the place that its successor goes to.
pub(super) struct Rewrite {
    pub(super) source: Place,
    pub(super) importer: Box<dyn CacheImporter>,
    pub(super) resolved: Resolved,
    destination: Place,
    exporter: Box<dyn CacheExporter>,
    expect: Expect,
    mode: Option<Mode>,
}

impl Rewrite {
    /// Opens both ends and reads the cache. Without `to`, or with the same spec, it is changed in place.
    pub(super) async fn open(session: &Session, spec: &str, to: Option<&str>) -> Result<Self, Failure> {
        let mut source = Place::parse(spec)?;
        let (mut destination, mode) = match to {
            Some(to) => destination(to)?,
            None => (source.clone(), None),
        };
        let is_in_place = destination.spec == source.spec;
        let (importer, exporter) = match is_in_place {
            true => source.both_sides(session).await?,
            false => (source.importer(session).await?, destination.exporter(session).await?),
        };
        let resolved = resolve(&source, &*importer).await?;
        if is_in_place && !resolved.manifest.inline_images().is_empty() {
            let failure = Failure::usage(format!("{} is an image; its cache cannot be changed in place", source.spec));
            return Err(failure.with_hint("--to writes an ordinary cache somewhere else"));
        }
        let expect = if is_in_place { Expect::Version(resolved.version.clone()) } else { Expect::Any };
        Ok(Self { source, importer, resolved, destination, exporter, expect, mode })
    }

    pub(super) fn manifest(&self) -> &CacheManifest {
        &self.resolved.manifest
    }

    /// The spec of the place that is written.
    pub(super) fn destination(&self) -> &cache_core::CacheSpec {
        &self.destination.spec
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.expect != Expect::Any
    }

    /// Writes the successor, whose blobs are the cache's own.
    pub(super) async fn write(&self, session: &Session, manifest: &CacheManifest) -> Result<ExportReport, Failure> {
        let settings = session.export_settings_of(format!("write to {}", self.destination.spec));
        let settings = settings.with_expect(self.expect.clone());
        let manifest = select(manifest, self.mode).await?;
        let blobs: &dyn BlobProvider = &*self.importer;
        let written = export(&manifest, blobs, &*self.exporter, &settings).await;
        session.reporter.finish();
        written.map_err(|error| match error.side() {
            Some(Side::Source) => self.source.explain(error).into(),
            _ => self.destination.explain(error).into(),
        })
    }
}

/// A place to write to, and the mode that its spec asks for.
pub(super) fn destination(spec: &str) -> Result<(Place, Option<Mode>), Failure> {
    let mut place = Place::parse_on(Side::Destination, spec)?;
    let options = place
        .spec
        .export_options()
        .map_err(|error| Failure { exit: Exit::Usage, ..Failure::from(error.on(Side::Destination)) })?;
    if options.ignore_error {
        return Err(Failure::usage("destination: ignore-error is for copy: here nothing else would be done"));
    }
    if options.compression.is_some() {
        return Err(Failure::usage("destination: compression is for copy: here layers stay as they are"));
    }
    Ok((place, options.mode))
}

/// The results that a mode keeps; the very same manifest where it keeps all.
pub(super) async fn select(manifest: &CacheManifest, mode: Option<Mode>) -> Result<CacheManifest, Failure> {
    let Some(mode) = mode.filter(|mode| *mode == Mode::Min) else { return Ok(manifest.clone()) };
    let mut chains = CacheChains::from_manifest(manifest)?;
    chains.select(mode).await?;
    Ok(chains.to_manifest().with_form(manifest.form()))
}

/// Reads the cache; one that cannot even be read is beyond every verb but `rm`.
async fn resolve(place: &Place, importer: &dyn CacheImporter) -> Result<Resolved, Failure> {
    match importer.resolve().await {
        Ok(resolved) => resolved.ok_or_else(|| place.no_cache()),
        Err(error) => Err(unreadable(place, importer, error).await),
    }
}

async fn unreadable(place: &Place, importer: &dyn CacheImporter, error: Error) -> Failure {
    if unreadable::findings(&error, importer).await.is_empty() {
        return place.explain(error).into();
    }
    let (code, error) = (FindingCode::ConfigUnreadable, place.explain(error));
    let failure = Failure::new(Exit::Failed, format!("{code}: {}", with_causes(&error)));
    failure.with_hint(format!("nothing can be saved of it: buildcache rm {}", place.spec))
}
