//! The attributes that say how layers are compressed.

use cache_core::spec::Attrs;
use cache_core::{CacheSpec, Compression, CompressionKind, Error, ErrorKind, Result};

const KIND: &str = "compression";
const LEVEL: &str = "compression-level";
const FORCE: &str = "force-compression";

/// Takes the three attributes; `None` when none of them is given.
pub(super) fn parse(spec: &CacheSpec, attrs: &mut Attrs<'_>) -> Result<Option<Compression>> {
    let (kind, level, force) = (attrs.optional(KIND), attrs.optional(LEVEL), attrs.optional(FORCE));
    if kind.is_none() && level.is_none() && force.is_none() {
        return Ok(None);
    }
    let kind = kind.map_or(Ok(CompressionKind::default()), |kind| parse_kind(kind, &spec.shown(KIND)))?;
    let force = force.map_or(Ok(false), |force| parse_force(force, &spec.shown(FORCE)))?;
    let made = Compression::new(kind).with_force(force);
    Ok(Some(match level {
        Some(level) => made.with_level(parse_level(level, &spec.shown(LEVEL))?)?,
        None => made,
    }))
}

/// The words are BuildKit's.
fn parse_kind(name: &str, shown: &str) -> Result<CompressionKind> {
    name.parse().map_err(|error: Error| {
        let made = invalid(format!("unsupported compression type {shown}"));
        made.with("attribute", KIND).with_hint(error.hint().unwrap_or_default())
    })
}

/// BuildKit takes the bare attribute for a yes.
fn parse_force(value: &str, shown: &str) -> Result<bool> {
    match value {
        "" | "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => {
            let reason = format!("strconv.ParseBool: parsing {shown:?}: invalid syntax");
            Err(invalid(format!("non-bool value {shown} specified for {FORCE}: {reason}")).with("attribute", FORCE))
        }
    }
}

fn parse_level(value: &str, shown: &str) -> Result<i32> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let level = value.parse::<i64>().map_err(|error| {
        let is_too_large = matches!(error.kind(), NegOverflow | PosOverflow);
        let reason = if is_too_large { "value out of range" } else { "invalid syntax" };
        let reason = format!("strconv.ParseInt: parsing {shown:?}: {reason}");
        invalid(format!("non-integer value {shown} specified for {LEVEL}: {reason}")).with("attribute", LEVEL)
    })?;
    // What is too large for the type is too large for every kind.
    Ok(i32::try_from(level).unwrap_or(if level < 0 { i32::MIN } else { i32::MAX }))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSpec, message)
}

#[cfg(test)]
mod tests;
