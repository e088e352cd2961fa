//! Where a verb that changes a cache reads it and writes it: in place, on condition that nobody wrote in between, or
//! somewhere else.

use cache_core::{
    BackendFacts, CacheExporter, CacheImporter, CacheManifest, Error, Expect, ExportOptions, FindingCode, Mode,
    Resolved, Side,
};
use cache_ops::{Conversion, CopyOptions, CopyReport, copy_manifest};

use super::compression;
use crate::args::CompressionArgs;
use crate::exit::{Exit, Failure, with_causes};
use crate::session::Session;
use crate::spec::Place;
use crate::unreadable;

/// A cache that is read, and the place that its successor goes to.
pub(super) struct Rewrite {
    pub(super) source: Place,
    pub(super) importer: Box<dyn CacheImporter>,
    pub(super) resolved: Resolved,
    /// What layers are converted to on the way, if any need it.
    pub(super) conversion: Option<Conversion>,
    destination: Place,
    exporter: Box<dyn CacheExporter>,
    expect: Expect,
    mode: Option<Mode>,
}

impl Rewrite {
    /// Opens both ends and reads the cache. Without `to`, or with the same spec, it is changed in place. Only a verb with
    /// flags about compression takes attributes about it.
    pub(super) async fn open(
        session: &Session,
        spec: &str,
        to: Option<&str>,
        compression: Option<&CompressionArgs>,
    ) -> Result<Self, Failure> {
        let mut source = Place::parse(session, spec)?;
        let (mut destination, options) = match to {
            Some(to) => destination(session, to, compression)?,
            None => (source.clone(), in_place(&source, compression)?),
        };
        let is_in_place = destination.spec == source.spec;
        let conversion = match compression {
            Some(args) => compression::conversion(session, args, options.compression, &destination)?,
            None => None,
        };
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
        Ok(Self { source, importer, resolved, conversion, destination, exporter, expect, mode: options.mode })
    }

    pub(super) fn manifest(&self) -> &CacheManifest {
        &self.resolved.manifest
    }

    /// What is true of the place that is written.
    pub(super) fn destination_facts(&self, session: &Session) -> Result<BackendFacts, Failure> {
        self.destination.facts(session)
    }

    /// The spec of the place that is written.
    pub(super) fn destination(&self) -> &cache_core::CacheSpec {
        &self.destination.spec
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.expect != Expect::Any
    }

    /// Writes the successor, whose blobs are the cache's own or made of them.
    pub(super) async fn write(&self, session: &Session, manifest: &CacheManifest) -> Result<CopyReport, Failure> {
        let settings = session.export_settings_of(format!("write to {}", self.destination.spec));
        let settings = settings.with_expect(self.expect.clone());
        let options = CopyOptions::default().with_mode(self.mode).with_conversion(self.conversion.clone());
        let written = copy_manifest(manifest.clone(), &*self.importer, &*self.exporter, options, &settings).await;
        session.reporter.finish();
        written.map_err(|error| match error.side() {
            Some(Side::Source) => self.source.explain(error).into(),
            _ => self.destination.explain(error).into(),
        })
    }
}

/// A place to write to, and what its spec asks for; without flags about compression, no attributes about it either.
pub(super) fn destination(
    session: &Session,
    spec: &str,
    args: Option<&CompressionArgs>,
) -> Result<(Place, ExportOptions), Failure> {
    let mut place = Place::parse_on(session, Side::Destination, spec)?;
    if let Some(args) = args {
        compression::agree(args, &mut place)?;
    }
    let options = place.spec.export_options().map_err(compression::refused)?;
    if options.ignore_error {
        return Err(Failure::usage("destination: ignore-error is for copy: here nothing else would be done"));
    }
    if args.is_none() && options.compression.is_some() {
        let message = "destination: compression is for copy and optimize: here layers stay as they are";
        return Err(Failure::usage(message));
    }
    Ok((place, options))
}

/// What is asked for of a cache that is changed where it is: nothing but what the flags say.
fn in_place(source: &Place, args: Option<&CompressionArgs>) -> Result<ExportOptions, Failure> {
    let Some(args) = args else { return Ok(ExportOptions::default()) };
    let mut place = source.clone();
    compression::agree(args, &mut place)?;
    let mut options = place.spec.export_options().map_err(compression::refused)?;
    options.mode = None;
    Ok(options)
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
