//! The flags about compression, and their effect on a destination.

use cache_core::{CacheManifest, Compression, Error, Side};
use cache_ops::Conversion;

use crate::args::CompressionArgs;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::spec::Place;

/// Adds the flags about compression to the attributes of the place. Attributes may not contradict the flags.
pub(super) fn agree(args: &CompressionArgs, place: &mut Place) -> Result<(), Failure> {
    let level = args.compression_level.map(|level| level.to_string());
    let force = args.force_compression.then(|| "true".to_owned());
    for (name, flag) in
        [("compression", args.compression.clone()), ("compression-level", level), ("force-compression", force)]
    {
        let Some(flag) = flag else { continue };
        let attribute = place.spec.get(name);
        // BuildKit's spellings of false contradict the flag. Invalid values are refused later.
        let is_other = attribute.is_some_and(|attribute| match name {
            "force-compression" => ["0", "f", "F", "FALSE", "false", "False"].contains(&attribute),
            _ => attribute != flag,
        });
        if is_other {
            let attribute = place.spec.shown(name);
            let said = if name == "force-compression" { String::new() } else { format!(" {flag}") };
            let message = format!("destination: --{name}{said} contradicts {name}={attribute} of {}", place.spec);
            return Err(Failure::usage(message).with_hint("leave out one of them"));
        }
        if attribute.is_none() {
            place.spec = place.spec.clone().with(name, flag);
        }
    }
    Ok(())
}

/// The failure of an attribute about compression: a usage error, also for a compression that cannot be written here.
pub(super) fn refused(error: Error) -> Failure {
    Failure { exit: Exit::Usage, ..error.on(Side::Destination).into() }
}

/// Layers that have to be converted.
pub(super) fn layers_to_convert(manifest: &CacheManifest, conversion: &Conversion) -> usize {
    manifest.blobs().iter().filter(|blob| conversion.converts(blob)).count()
}

/// The conversion for the chosen compression; `None` if it changes nothing.
pub(super) fn conversion(
    session: &Session,
    args: &CompressionArgs,
    compression: Option<Compression>,
    place: &Place,
) -> Result<Option<Conversion>, Failure> {
    let Some(compression) = compression else { return Ok(None) };
    if !compression.is_forced() {
        let kind = compression.kind();
        session.warn(format!("compression {kind} is for new layers, and there are none; --force-compression converts"));
        return Ok(None);
    }
    if place.is_image() {
        let message = format!("destination: {} takes no layers, so none can be converted", place.spec);
        return Err(Failure::usage(message).with_hint("leave force-compression out"));
    }
    let conversion = Conversion::new(compression);
    let Some(dir) = &args.tmp_dir else { return Ok(Some(conversion)) };
    if !dir.is_dir() {
        let message = format!("the folder {} for converted layers does not exist", dir.display());
        return Err(Failure::usage(message).with_hint("--tmp-dir sets another folder"));
    }
    Ok(Some(conversion.with_spool(dir)))
}
