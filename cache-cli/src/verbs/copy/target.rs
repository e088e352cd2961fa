//! A destination of a copy, opened and ready to be written.

use cache_core::{CacheExporter, CacheImporter, Compression, Conversion, Error, Expect, Mode, Side};

use crate::args::CopyArgs;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::spec::Place;

/// Where a cache goes, and how.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) exporter: Box<dyn CacheExporter>,
    /// The same place, seen by a reader; only where the copy depends on what it holds.
    current: Option<Box<dyn CacheImporter>>,
    pub(super) mode: Option<Mode>,
    /// What the layers are converted to.
    pub(super) conversion: Option<Conversion>,
    pub(super) ignores_errors: bool,
}

impl Target {
    /// Opens the place; nothing is written.
    pub(super) async fn open(session: &Session, args: &CopyArgs, mut place: Place) -> Result<Self, Failure> {
        agree_on_compression(args, &mut place)?;
        let options = place.spec.export_options().map_err(refused)?;
        let mode = agree(args.mode, options.mode, &place)?;
        let is_image = place.spec.kind() == "inline";
        if args.dry_run && is_image {
            let failure = Failure::usage(format!("destination: --dry-run cannot tell what {} takes", place.spec));
            return Err(
                failure.with_hint("copy into a copy of the layout; it needs no more than the image's documents")
            );
        }
        let conversion = options.compression.map(|compression| conversion(session, args, compression, &place));
        let conversion = conversion.transpose()?.flatten();
        // An image is read before it is written, and is only ever replaced if it is still the same.
        let (current, exporter) = match args.if_unchanged && !is_image {
            true => place.both_sides(session).await.map(|(current, exporter)| (Some(current), exporter))?,
            false => (None, place.exporter(session).await?),
        };
        Ok(Self { place, exporter, current, mode, conversion, ignores_errors: options.ignore_error })
    }

    /// What the place has to hold at the commit: whatever it holds now, if that matters.
    pub(super) async fn expect(&self) -> Result<Expect, Error> {
        let Some(current) = &self.current else { return Ok(Expect::Any) };
        let resolved = current.resolve().await.map_err(|error| self.place.explain(error))?;
        Ok(resolved.map_or(Expect::Absent, |resolved| Expect::Version(resolved.version)))
    }
}

/// An attribute that asks for what cannot be done here is a bad spec, like one with a bad value.
fn refused(error: Error) -> Failure {
    Failure { exit: Exit::Usage, ..error.on(Side::Destination).into() }
}

/// The mode of the flag and that of the attribute, which may not contradict each other.
fn agree(flag: Option<Mode>, attribute: Option<Mode>, place: &Place) -> Result<Option<Mode>, Failure> {
    match (flag, attribute) {
        (Some(flag), Some(attribute)) if flag != attribute => {
            let message = format!("destination: --mode {flag} contradicts mode={attribute} of {}", place.spec);
            let failure = Failure::usage(message);
            Err(failure.with_hint("leave one of them out"))
        }
        _ => Ok(flag.or(attribute)),
    }
}

/// Adds the flags about compression to the attributes, which may not contradict them.
fn agree_on_compression(args: &CopyArgs, place: &mut Place) -> Result<(), Failure> {
    let level = args.compression_level.map(|level| level.to_string());
    let force = args.force_compression.then(|| "true".to_owned());
    for (name, flag) in
        [("compression", args.compression.clone()), ("compression-level", level), ("force-compression", force)]
    {
        let Some(flag) = flag else { continue };
        let attribute = place.spec.get(name);
        // What BuildKit takes for a yes is one, and what it takes for nothing is refused later on.
        let is_other = attribute.is_some_and(|attribute| match name {
            "force-compression" => ["0", "f", "F", "FALSE", "false", "False"].contains(&attribute),
            _ => attribute != flag,
        });
        if is_other {
            let attribute = attribute.unwrap_or_default();
            let said = if name == "force-compression" { String::new() } else { format!(" {flag}") };
            let message = format!("destination: --{name}{said} contradicts {name}={attribute} of {}", place.spec);
            return Err(Failure::usage(message).with_hint("leave one of them out"));
        }
        if attribute.is_none() {
            place.spec = place.spec.clone().with(name, flag);
        }
    }
    Ok(())
}

/// What is to be done about a compression that was asked for; `None` when it changes nothing.
fn conversion(
    session: &Session,
    args: &CopyArgs,
    compression: Compression,
    place: &Place,
) -> Result<Option<Conversion>, Failure> {
    if !compression.is_forced() {
        let kind = compression.kind();
        session
            .warn(format!("compression {kind} is for new layers, and a copy has none; --force-compression converts"));
        return Ok(None);
    }
    if place.spec.kind() == "inline" {
        let message = format!("destination: {} takes no layers, so none can be converted", place.spec);
        return Err(Failure::usage(message).with_hint("leave force-compression out"));
    }
    let spool = args.tmp_dir.clone().unwrap_or_else(std::env::temp_dir);
    if !spool.is_dir() {
        let message = format!("there is no folder {} to keep converted layers in", spool.display());
        return Err(Failure::usage(message).with_hint("--tmp-dir says where to keep them"));
    }
    Ok(Some(Conversion::new(compression, spool)))
}
