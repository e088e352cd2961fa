//! Source and destination of a verb that changes a cache. In place, the cache is replaced only if it has not changed
//! since it was read.

use cache_core::seams::{BackendFacts, CacheEntry, Publisher};
use cache_core::{CacheExporter, CacheImporter, CacheManifest, Error, Expect, Finding, Mode, Resolved, Side};
use cache_ops::{Conversion, CopyOptions, CopyReport, Depth, ExportOptions, copy_manifest};

use super::rm::advice::advised;
use super::{compression, unnamed};
use crate::args::CompressionArgs;
use crate::exit::{Exit, Failure, with_causes};
use crate::session::Session;
use crate::spec::Place;
use crate::unreadable;

/// A cache that was read, and the destination of the changed one.
pub(super) struct Rewrite {
    pub(super) source: Place,
    pub(super) importer: Box<dyn CacheImporter>,
    pub(super) resolved: Resolved,
    /// The entry of the cache, if it is another one than the spec names, with the findings that say why the named one
    /// cannot be read.
    pub(super) instead: Option<(CacheEntry, Vec<Finding>)>,
    /// How layers are converted, if any need it.
    pub(super) conversion: Option<Conversion>,
    destination: Place,
    exporter: Box<dyn CacheExporter>,
    expect: Expect,
    mode: Option<Mode>,
}

impl Rewrite {
    /// Opens source and destination and reads the cache. Without `to`, or with the same spec, the cache is changed in
    /// place. Attributes about compression are allowed only for verbs with flags about it.
    pub(super) async fn open(
        session: &Session,
        spec: &str,
        to: Option<&str>,
        intent: Intent<'_>,
    ) -> Result<Self, Failure> {
        let compression = intent.compression();
        let mut source = Place::parse(session, spec)?;
        let (mut destination, options) = match to {
            Some(to) => destination(session, to, compression)?,
            None => {
                let options = in_place(&source, compression)?;
                source.ignore_options()?;
                (source.clone(), options)
            }
        };
        let is_in_place = destination.spec == source.spec;
        let conversion = match compression {
            Some(args) => compression::conversion(session, args, options.compression, &destination)?,
            None => None,
        };
        let Publisher { importer, exporter } = match is_in_place {
            true => source.both_sides(session).await?,
            false => {
                Publisher { importer: source.importer(session).await?, exporter: destination.exporter(session).await? }
            }
        };
        let (importer, resolved, instead) = resolve(session, &source, importer, intent).await?;
        if is_in_place && !resolved.manifest.inline_images().is_empty() {
            return Err(image_in_place(&source));
        }
        let expect = if is_in_place { Expect::Version(resolved.version.clone()) } else { Expect::Any };
        Ok(Self { source, importer, resolved, instead, conversion, destination, exporter, expect, mode: options.mode })
    }

    pub(super) fn manifest(&self) -> &CacheManifest {
        &self.resolved.manifest
    }

    /// The facts about the destination.
    pub(super) fn destination_facts(&self, session: &Session) -> Result<BackendFacts, Failure> {
        self.destination.facts(session)
    }

    /// The spec of the destination.
    pub(super) fn destination(&self) -> &cache_core::CacheSpec {
        &self.destination.spec
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.expect != Expect::Any
    }

    /// Writes the changed cache, whose blobs are those of the cache that was read, or are converted from them.
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

/// Parses a destination and its options. Without flags about compression, attributes about it are refused.
pub(super) fn destination(
    session: &Session,
    spec: &str,
    args: Option<&CompressionArgs>,
) -> Result<(Place, ExportOptions), Failure> {
    let mut place = Place::parse_on(session, Side::Destination, spec)?;
    if let Some(args) = args {
        compression::agree(args, &mut place)?;
    }
    let options = ExportOptions::take(&mut place.spec).map_err(compression::refused)?;
    if options.ignore_error {
        return Err(Failure::usage("destination: ignore-error is for copy alone"));
    }
    if args.is_none() && options.compression.is_some() {
        let message = "destination: compression is for copy and optimize: other verbs convert no layers";
        return Err(Failure::usage(message));
    }
    Ok((place, options))
}

/// The options of a cache that is changed in place: only those of the flags.
fn in_place(source: &Place, args: Option<&CompressionArgs>) -> Result<ExportOptions, Failure> {
    let Some(args) = args else { return Ok(ExportOptions::default()) };
    let mut place = source.clone();
    compression::agree(args, &mut place)?;
    let mut options = ExportOptions::take(&mut place.spec).map_err(compression::refused)?;
    options.mode = None;
    Ok(options)
}

/// What a verb does with the cache.
#[derive(Clone, Copy)]
pub(super) enum Intent<'a> {
    /// Repairs it, checking blobs at this depth. If the cache cannot be read, an unnamed one in the store takes its
    /// place.
    Repair(Depth),
    /// Makes it smaller, and converts its layers.
    Optimize(&'a CompressionArgs),
}

impl<'a> Intent<'a> {
    fn compression(self) -> Option<&'a CompressionArgs> {
        match self {
            Self::Repair(_) => None,
            Self::Optimize(args) => Some(args),
        }
    }
}

/// A cache that was read. If it is an unnamed one, its entry and what is wrong with the named one.
type Read = (Box<dyn CacheImporter>, Resolved, Option<(CacheEntry, Vec<Finding>)>);

/// Reads the cache.
async fn resolve(
    session: &Session,
    place: &Place,
    importer: Box<dyn CacheImporter>,
    intent: Intent<'_>,
) -> Result<Read, Failure> {
    let error = match importer.resolve().await {
        Ok(Some(resolved)) => return Ok((importer, resolved, None)),
        Ok(None) => return Err(place.no_cache_here(session).await),
        Err(error) if error.holds_image() => return Err(image_in_place(place)),
        Err(error) => error,
    };
    let findings = unreadable::findings(&error, &*importer).await;
    if findings.is_empty() {
        return Err(place.explain(error).into());
    }
    let failure = unreadable_at(place, &findings, error);
    match intent {
        Intent::Optimize(_) if unnamed::is_there(session, place).await => {
            Err(failure.with_hint("repair looks for another cache there to point the name to"))
        }
        Intent::Optimize(_) => Err(advised(session, place, failure).await),
        Intent::Repair(depth) => match unnamed::newest(session, place, depth).await? {
            Some(found) => Ok((found.importer, found.resolved, Some((found.entry, findings)))),
            None => Err(advised(session, place, failure).await),
        },
    }
}

fn image_in_place(source: &Place) -> Failure {
    let failure = Failure::usage(format!("{} is an image; its cache cannot be changed in place", source.spec));
    failure.with_hint("--to writes an ordinary cache somewhere else")
}

fn unreadable_at(place: &Place, findings: &[Finding], error: Error) -> Failure {
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    let error = place.explain(error);
    Failure::new(Exit::Failed, format!("{}: {}", codes.join(", "), with_causes(&error)))
}
