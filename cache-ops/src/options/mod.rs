//! [`ExportOptions`]: what a destination's spec says to a verb and not to a backend.

mod compression;

use cache_core::spec::{Attribute, Values};
use cache_core::{CacheSpec, Compression, Mode, Result};

/// The attributes of a destination that are for the verb and not for its backend.
///
/// ```
/// use cache_core::{CacheSpec, Compression, CompressionKind};
/// use cache_ops::ExportOptions;
///
/// let mut spec: CacheSpec = "type=local,dest=cache,compression=zstd,compression-level=9,force-compression=".parse()?;
/// let compression = ExportOptions::take(&mut spec)?.compression.expect("it was given");
/// assert_eq!(compression, Compression::new(CompressionKind::Zstd).with_level(9)?.with_force(true));
/// assert_eq!(spec.to_string(), "type=local,dest=cache");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Which results to keep; all when absent.
    pub mode: Option<Mode>,
    /// Whether a failed export is a warning.
    pub ignore_error: bool,
    /// How layers are compressed; as they are when absent.
    pub compression: Option<Compression>,
}

impl ExportOptions {
    /// The attributes that they are read from, which every destination takes.
    pub const ATTRIBUTES: [Attribute; 5] = [
        Attribute {
            name: "mode",
            about: "which results to keep",
            values: Values::OneOf(&["min", "max"]),
            default: Some("all that the source has"),
            on_import: false,
            ..Attribute::PLAIN
        },
        Attribute {
            name: "ignore-error",
            about: "whether a failed export is a warning",
            values: Values::Bool,
            default: Some("false"),
            on_import: false,
            ..Attribute::PLAIN
        },
        Attribute {
            name: "compression",
            about: "the compression of new layers",
            values: Values::OneOf(&["uncompressed", "gzip", "estargz", "zstd"]),
            default: Some("as they are"),
            on_import: false,
            ..Attribute::PLAIN
        },
        Attribute {
            name: "compression-level",
            about: "the level: -2 to 9 for gzip and estargz, -7 to 22 for zstd",
            values: Values::Number,
            default: Some("the kind's own"),
            on_import: false,
            ..Attribute::PLAIN
        },
        Attribute {
            name: "force-compression",
            about: "whether existing layers of another compression are converted",
            values: Values::Bool,
            default: Some("false"),
            on_import: false,
            ..Attribute::PLAIN
        },
    ];

    /// Takes off the attributes that every destination has, so that a backend never sees them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](cache_core::ErrorKind::InvalidSpec) for a bad value.
    pub fn take(spec: &mut CacheSpec) -> Result<Self> {
        let mut attrs = spec.attrs();
        let mode = attrs.parse("mode", "min or max")?;
        let ignore_error = attrs.bool("ignore-error")?.unwrap_or(false);
        let compression = compression::parse(spec, &mut attrs)?;
        for attribute in Self::ATTRIBUTES {
            spec.remove(attribute.name);
        }
        Ok(Self { mode, ignore_error, compression })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> CacheSpec {
        text.parse().unwrap()
    }

    #[test]
    fn export_options_leave_the_spec() {
        let mut given = spec("type=local,dest=a,mode=max,ignore-error=true");
        let options = ExportOptions::take(&mut given).unwrap();
        assert_eq!((options.mode, options.ignore_error), (Some(Mode::Max), true));
        assert_eq!(given, spec("type=local,dest=a"));
        for bad in ["mode=MAX", "mode=", "ignore-error=x", "compression=", "compression-level=x", "force-compression=x"]
        {
            assert!(ExportOptions::take(&mut spec(&format!("type=local,dest=a,{bad}"))).is_err(), "{bad}");
        }
    }
}
