//! A destination of a copy, opened and ready to be written.

use cache_core::{CacheExporter, CacheImporter, Error, Expect, Mode};
use cache_ops::{Conversion, ExportOptions};

use crate::args::CopyArgs;
use crate::exit::Failure;
use crate::session::Session;
use crate::spec::Place;
use crate::verbs::compression;

/// A destination, and how the cache is written there.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) exporter: Box<dyn CacheExporter>,
    /// The importer of the same place; only if the copy depends on what it holds, or is a dry run.
    pub(super) current: Option<Box<dyn CacheImporter>>,
    is_conditional: bool,
    pub(super) mode: Option<Mode>,
    /// How layers are converted.
    pub(super) conversion: Option<Conversion>,
    pub(super) ignores_errors: bool,
}

impl Target {
    /// Opens the place; nothing is written.
    pub(super) async fn open(session: &Session, args: &CopyArgs, mut place: Place) -> Result<Self, Failure> {
        compression::agree(&args.compression, &mut place)?;
        let options = ExportOptions::take(&mut place.spec).map_err(compression::refused)?;
        let mode = agree(args.mode, options.mode, &place)?;
        if args.check_present && place.is_directory() {
            place.spec = place.spec.with("check-present", "true");
        }
        let is_image = place.is_image();
        if args.dry_run && is_image {
            let failure = Failure::usage(format!("destination: --dry-run cannot tell what {} takes", place.spec));
            return Err(failure.with_hint(
                "copy into a copy of the image instead: a layout with its documents alone, or another tag of the registry",
            ));
        }
        let conversion = compression::conversion(session, &args.compression, options.compression, &place)?;
        // An image is always read first, and replaced only if it has not changed since.
        let is_conditional = args.if_unchanged && !is_image;
        let (current, exporter) = match is_conditional || args.dry_run {
            true => place.both_sides(session).await.map(|sides| (Some(sides.importer), sides.exporter))?,
            false => (None, place.exporter(session).await?),
        };
        Ok(Self { place, exporter, current, is_conditional, mode, conversion, ignores_errors: options.ignore_error })
    }

    /// The condition of the commit: with `--if-unchanged`, the place still holds what it holds now.
    pub(super) async fn expect(&self) -> Result<Expect, Error> {
        let Some(current) = self.current.as_ref().filter(|_| self.is_conditional) else { return Ok(Expect::Any) };
        let resolved = current.resolve().await.map_err(|error| self.place.explain(error))?;
        Ok(resolved.map_or(Expect::Absent, |resolved| Expect::Version(resolved.version)))
    }
}

/// The mode of the flag or the attribute, which may not contradict each other.
fn agree(flag: Option<Mode>, attribute: Option<Mode>, place: &Place) -> Result<Option<Mode>, Failure> {
    match (flag, attribute) {
        (Some(flag), Some(attribute)) if flag != attribute => {
            let message = format!("destination: --mode {flag} contradicts mode={attribute} of {}", place.spec);
            let failure = Failure::usage(message);
            Err(failure.with_hint("leave out one of them"))
        }
        _ => Ok(flag.or(attribute)),
    }
}
