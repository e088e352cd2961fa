//! The command lines of `diff`, `explain` and `report`.

use std::path::PathBuf;

use clap::Args;

/// `diff A B`
#[derive(Debug, Args)]
#[command(after_help = "Exits 3 when the caches differ.")]
pub(crate) struct DiffArgs {
    /// One cache
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// The other one
    #[arg(value_name = "B")]
    pub(crate) b: String,
}

/// `explain OLD [NEW]`
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  buildctl build … --progress=rawjson 2> build.rawjson
  docker buildx build … --progress=rawjson 2> build.rawjson
  buildcache explain type=local,src=old type=local,src=new --log build.rawjson
  buildcache explain ghcr.io/me/app:cache@sha256:… ghcr.io/me/app:cache --log build.rawjson
  buildcache explain type=local,src=old --log build.rawjson
  buildcache explain type=local,src=old type=local,src=new --log build.rawjson --search ghcr.io/me/app

OLD is what the build imported, NEW what it exported with mode=max. Without NEW
the causes are guessed from the log; without a log there are no names and no
times. A cause that is not proven is said to be probable.")]
pub(crate) struct ExplainArgs {
    /// The cache that the build imported
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// The cache that the build exported
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<String>,
    /// Another cache that the build imported; can be given several times
    #[arg(long, value_name = "SPEC")]
    pub(crate) from: Vec<String>,
    /// Also search every cache of this store for missed steps
    #[arg(long, value_name = "STORE")]
    pub(crate) search: Vec<String>,
    /// The build's log, written with --progress=rawjson; - reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Read every blob of the imported caches, to find results that are corrupt
    #[arg(long)]
    pub(crate) deep: bool,
}

/// `report SPEC…`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache report type=local,src=cache -o report.html
  buildcache report type=local,src=old type=local,src=new --log build.rawjson -o report.html
  buildcache report --all ghcr.io/me/app -o branches.html

The file needs no network and no script to be read. With --log it says why steps
of the build ran: the cache that the build made is its export, the first of the
others is what it imported.")]
pub(crate) struct ReportArgs {
    /// The caches to show
    #[arg(value_name = "SPEC", required = true, num_args = 1..)]
    pub(crate) specs: Vec<String>,
    /// Show every cache of the stores that the caches are in
    #[arg(long)]
    pub(crate) all: bool,
    /// Explain the build of this log, written with --progress=rawjson; - reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Check that every blob exists with its size
    #[arg(long)]
    pub(crate) verify: bool,
    /// Show the size of blobs in the stores that no cache reaches
    #[arg(long)]
    pub(crate) store: bool,
}
