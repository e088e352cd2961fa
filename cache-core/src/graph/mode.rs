//! Which results an export keeps.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The `mode` attribute: which results are exported. Records are always exported, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The results of the last steps, and those whose blobs these need anyway; BuildKit's default for an export.
    #[default]
    Min,
    /// The result of every step.
    Max,
}

impl FromStr for Mode {
    type Err = Error;

    /// The error does not repeat the text, which may be anything that somebody typed.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "min" => Ok(Self::Min),
            "max" => Ok(Self::Max),
            _ => Err(Error::new(ErrorKind::InvalidSpec, "expected min or max").with("attribute", "mode")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}
