//! The flags that say how layers are compressed.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

/// The compressions that BuildKit has.
const KINDS: [&str; 4] = ["uncompressed", "gzip", "estargz", "zstd"];

/// What happens to the compression of layers.
#[derive(Debug, Default, Args)]
pub(crate) struct CompressionArgs {
    /// Compression of layers at the destination; existing layers change with --force-compression only
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    pub(crate) compression: Option<String>,
    /// Compression level: -2 to 9 for gzip and estargz, -7 to 22 for zstd
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) compression_level: Option<i32>,
    /// Convert existing layers of another compression
    #[arg(long)]
    pub(crate) force_compression: bool,
    /// Keep converted layers in DIR until the end [default: a destination that is a directory, else the system's
    /// directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmp_dir: Option<PathBuf>,
}
