//! The compression of new and converted layers.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::model::LayerEncoding;

/// How layers are compressed: the kind, the level, and whether layers that exist are converted.
///
/// ```
/// use cache_core::{Compression, CompressionKind};
///
/// let compression = Compression::new(CompressionKind::Zstd).with_level(9)?.with_force(true);
/// assert_eq!((compression.level(), compression.is_forced()), (Some(9), true));
/// assert!(compression.with_level(23).is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Compression {
    kind: CompressionKind,
    level: Option<i32>,
    force: bool,
}

/// The compressions that BuildKit has (`compression=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CompressionKind {
    /// A plain tar.
    Uncompressed,
    /// gzip, BuildKit's default.
    #[default]
    Gzip,
    /// gzip with a table of contents, from which single files can be read
    /// (<https://github.com/containerd/stargz-snapshotter>).
    Estargz,
    /// zstd.
    Zstd,
}

impl CompressionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Uncompressed, Self::Gzip, Self::Estargz, Self::Zstd];

    /// The name in attributes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uncompressed => "uncompressed",
            Self::Gzip => "gzip",
            Self::Estargz => "estargz",
            Self::Zstd => "zstd",
        }
    }

    /// The encoding in the media type of a layer of this kind.
    #[must_use]
    pub fn encoding(self) -> LayerEncoding {
        match self {
            Self::Uncompressed => LayerEncoding::Uncompressed,
            Self::Gzip | Self::Estargz => LayerEncoding::Gzip,
            Self::Zstd => LayerEncoding::Zstd,
        }
    }

    /// The accepted levels; `None` for a kind without levels.
    ///
    /// BuildKit takes any number for zstd and maps it to one of four speeds.
    #[must_use]
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::Uncompressed => None,
            Self::Gzip | Self::Estargz => Some(-2..=9),
            Self::Zstd => Some(-7..=22),
        }
    }
}

impl FromStr for CompressionKind {
    type Err = Error;

    /// The error does not repeat the name, which may be anything that somebody typed.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            invalid("unsupported compression type")
                .with("attribute", "compression")
                .with_hint("use uncompressed, gzip, estargz or zstd")
        })
    }
}

impl fmt::Display for CompressionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Compression {
    /// The default level of a kind, for new layers only.
    #[must_use]
    pub fn new(kind: CompressionKind) -> Self {
        Self { kind, level: None, force: false }
    }

    /// Sets the level; a plain tar has none and ignores it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] outside of [`CompressionKind::levels`], which BuildKit finds only when it compresses.
    pub fn with_level(self, level: i32) -> Result<Self> {
        if let Some(levels) = self.kind.levels().filter(|levels| !levels.contains(&level)) {
            let message = format!("invalid compression level {level} for {}", self.kind);
            let hint = format!("use {} to {}", levels.start(), levels.end());
            return Err(invalid(message).with("attribute", "compression-level").with_hint(hint));
        }
        Ok(Self { level: Some(level), ..self })
    }

    /// Converts layers that exist in another kind, or keeps them.
    #[must_use]
    pub fn with_force(self, force: bool) -> Self {
        Self { force, ..self }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> CompressionKind {
        self.kind
    }

    /// The level, when one was chosen.
    #[must_use]
    pub fn level(&self) -> Option<i32> {
        self.level
    }

    /// Whether layers that exist are converted.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.force
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSpec, message)
}
