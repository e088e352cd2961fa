//! The command line: verbs, flags and their help.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use cache_core::{CacheSpec, Mode};
use cache_ops::Shard;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::progress::ProgressForm;

const EXAMPLES: &str = "\
A SPEC is what buildx takes: type=local,src=DIR,tag=NAME (buildcache help specs)

Examples:
  buildcache inspect type=local,src=cache
  buildcache copy type=local,src=cache type=local,dest=backup,mode=min
  buildcache verify --fast type=local,src=cache,tag=main
  buildcache ls -o json type=local,src=cache

Exit codes:
  0 done, 1 failed, 2 usage, 3 findings, 4 the source has no cache,
  5 not allowed, 6 somebody else wrote first, 130 interrupted";

/// Read, copy, check and delete BuildKit build caches, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "buildcache", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Format of stdout: table or json, whose schema is versioned; dot for graph; for report the file to write
    #[arg(short, long, global = true, value_name = "FORM", value_parser = output_form)]
    pub(crate) output: Option<OutputForm>,
    /// Print only digests on stdout, or names for ls and copy --all, and no progress
    #[arg(short, long, global = true, conflicts_with = "output")]
    pub(crate) quiet: bool,
    /// List everything, also what is otherwise cut short; -vv also tells of each request (RUST_LOG chooses what of them)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Format of progress on stderr [default: auto]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub(crate) progress: Option<ProgressForm>,
    /// How many blobs are in flight at once [default: small ones as the store bears, up to 64; of large ones 4]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: Option<u16>,
    /// Give up after this time, like 90s, 1h30m or 7d
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Warn about unknown attributes in a spec instead of refusing them
    #[arg(long, global = true)]
    pub(crate) ignore_unknown: bool,
}

impl Globals {
    /// Whether everything is listed.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Whether each request is told of.
    pub(crate) fn logs_requests(&self) -> bool {
        self.verbose > 1
    }

    /// How progress is shown; `--quiet` turns it off unless a form is asked for.
    pub(crate) fn progress_form(&self) -> ProgressForm {
        let unasked = if self.quiet { ProgressForm::Quiet } else { ProgressForm::Auto };
        self.progress.unwrap_or(unasked)
    }
}

/// The format of a report, or its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For Graphviz; `graph` only.
    Dot,
    /// Into a file, `-` for stdout; `report` only.
    File(PathBuf),
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Copy a cache into one or more places
    #[command(visible_alias = "cp")]
    Copy(CopyArgs),
    /// Show what is in a cache
    Inspect(InspectArgs),
    /// List the caches in a store
    Ls(LsArgs),
    /// Show the sizes of caches and their stores
    Du(DuArgs),
    /// Check that BuildKit can use every part of a cache
    Verify(VerifyArgs),
    /// Write the largest sound cache that is in a damaged one
    Repair(RepairArgs),
    /// Merge several caches into one
    Merge(MergeArgs),
    /// Make a cache smaller without losing a hit, so that BuildKit can import it
    Optimize(OptimizeArgs),
    /// Compare two caches and show where their chains diverge
    Diff(DiffArgs),
    /// Explain why steps of a build missed the cache
    Explain(ExplainArgs),
    /// Write a report on caches and a build as one HTML file
    Report(ReportArgs),
    /// Draw the records and layers of a cache
    Graph(GraphArgs),
    /// Delete a cache from its store
    Rm(RmArgs),
    /// Delete caches by policy, and the blobs that no cache reaches
    Prune(PruneArgs),
    /// Find out what a store can do, and which --cache-to to use
    Doctor(DoctorArgs),
    /// Show every attribute that a spec can have
    Specs(SpecsArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Print what a spec can become, for completion scripts
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
}

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
    /// Store converted layers in DIR until all is written [default: in the destination if that is a directory, else in
    /// the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmp_dir: Option<PathBuf>,
}

/// `copy SRC DST…`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache copy type=local,src=cache type=local,dest=backup
  buildcache copy type=local,src=cache,tag=main type=local,dest=a type=local,dest=b
  buildcache copy --mode min type=local,src=cache type=local,dest=small
  buildcache copy --all type=local,src=cache ghcr.io/me/app
  buildcache copy --compression zstd --force-compression ghcr.io/me/app:cache type=local,dest=small
  buildcache copy type=local,src=cache type=inline,image=layout,tag=v1
  buildcache copy type=registry,ref=ghcr.io/me/app:cache type=inline,image=ghcr.io/me/app:v1

The blobs go first and the manifest last: a copy that fails leaves every cache
at the destination as it was.")]
pub(crate) struct CopyArgs {
    /// The cache to read
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// Where to write it
    #[arg(value_name = "DST", required = true, num_args = 1..)]
    pub(crate) destinations: Vec<String>,
    /// Which results to keep at every destination: min, or all of them with max [default: all]
    #[arg(long, value_parser = PossibleValuesParser::new(["min", "max"]).try_map(|mode| mode.parse::<Mode>()))]
    pub(crate) mode: Option<Mode>,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    /// Take every named cache of the source's store, each under its own name
    #[arg(long)]
    pub(crate) all: bool,
    /// Commit only if the destination has not changed since the copy began
    #[arg(long)]
    pub(crate) if_unchanged: bool,
    /// Read and hash blobs that a destination directory already has, and write damaged ones again [default:
    /// a blob with the right name and size counts as present]
    #[arg(long)]
    pub(crate) check_present: bool,
    /// Leave out results whose blobs the source has lost, instead of failing
    #[arg(long)]
    pub(crate) skip_missing: bool,
    /// Write what was committed to FILE, as BuildKit's clients do
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Show what would be pushed, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `inspect SPEC`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The cache to read
    pub(crate) spec: String,
    /// Print the bytes of the cache config, exactly as they are stored
    #[arg(long, conflicts_with_all = ["output", "quiet"])]
    pub(crate) raw: bool,
}

/// `ls SPEC`
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Any cache of the store
    pub(crate) spec: String,
}

/// `du SPEC…`
#[derive(Debug, Args)]
pub(crate) struct DuArgs {
    /// The caches to measure
    #[arg(value_name = "SPEC", required = true, num_args = 1..)]
    pub(crate) specs: Vec<String>,
}

/// `verify SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Exits 3 when something is wrong that BuildKit would trip over; warnings exit 0.

A large cache on several machines:
  buildcache verify --shard 1/3 -o json ghcr.io/me/app:cache > 1.json    # and 2/3, 3/3
  buildcache repair ghcr.io/me/app:cache --findings 1.json 2.json 3.json")]
pub(crate) struct VerifyArgs {
    /// The cache to check
    pub(crate) spec: String,
    /// Check only that every blob exists with its size; read none
    #[arg(long)]
    pub(crate) fast: bool,
    /// Look at this part of the blobs only, 1/N to N/N: each blob is in one of them, by its digest
    #[arg(long, value_name = "K/N", value_parser = str::parse::<Shard>)]
    pub(crate) shard: Option<Shard>,
}

/// `repair SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache repair --fast type=local,src=cache
  buildcache repair type=local,src=cache --to type=local,dest=sound

Results whose blobs are lost or corrupt go, the rest stays as it was. In place
it is written only if nobody else has written in between. verify exits 3 where
there is something to repair, and 4 where there is no cache yet.")]
pub(crate) struct RepairArgs {
    /// The cache to repair
    pub(crate) spec: String,
    /// Write the sound cache here, and leave the damaged one as it is
    #[arg(long, value_name = "DST")]
    pub(crate) to: Option<String>,
    /// Count a blob as sound if it exists with its size; read none
    #[arg(long)]
    pub(crate) fast: bool,
    /// Go by what verify -o json wrote, the files of all shards, and look at no blob
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "fast")]
    pub(crate) findings: Vec<PathBuf>,
    /// Show what would be dropped, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `merge SRC… --to DST`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache merge type=local,src=a type=local,src=b --to type=local,dest=both
  buildcache merge type=local,src=job --to ghcr.io/me/app:cache --publish

Every lookup that hits in one of the sources hits in the merged cache. With
--publish the cache at DST is one of them, and whoever else publishes there at
the same time loses nothing.")]
pub(crate) struct MergeArgs {
    /// The caches to read
    #[arg(value_name = "SRC", required = true, num_args = 1..)]
    pub(crate) sources: Vec<String>,
    /// Where to write the merged cache
    #[arg(long, value_name = "DST")]
    pub(crate) to: String,
    /// Add to the cache at DST; concurrent publishers lose nothing
    #[arg(long)]
    pub(crate) publish: bool,
    /// Drop results, the oldest first, while the config is larger, like 512KiB [default for registry and local: fail if
    /// it is larger than 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_config_size: Option<u64>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `optimize SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache optimize ghcr.io/me/app:cache
  buildcache optimize --compression zstd --force-compression ghcr.io/me/app:cache
  buildcache optimize --max-config-size 512KiB type=local,src=cache --to type=local,dest=small
  buildcache optimize --dry-run ghcr.io/me/app:cache
  buildcache optimize type=s3,bucket=b,region=r,name=main --to ghcr.io/me/app:cache

No BuildKit imports a config over 1 MiB from a registry or a directory. In place
it is written only if nobody else has written in between.")]
pub(crate) struct OptimizeArgs {
    /// The cache to make smaller
    pub(crate) spec: String,
    /// Write the smaller cache here, and leave the original as it is
    #[arg(long, value_name = "DST")]
    pub(crate) to: Option<String>,
    /// Drop results, the oldest first, while the config is larger, like 512KiB [default: 1MiB for registry and local]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_config_size: Option<u64>,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

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

/// `graph SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache graph type=local,src=cache
  buildcache graph -o dot type=local,src=cache | dot -Tsvg > cache.svg")]
pub(crate) struct GraphArgs {
    /// The cache to draw
    pub(crate) spec: String,
}

/// `rm SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache rm type=local,src=cache,tag=old
  buildcache rm -f --blobs type=local,src=cache,tag=old

Asks first on a terminal; elsewhere -f is needed. What is no cache stays, and so
does an image that holds one, unless --any is given.")]
pub(crate) struct RmArgs {
    /// The cache to delete
    pub(crate) spec: String,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Also delete the blobs that no other cache of the store reaches
    #[arg(long)]
    pub(crate) blobs: bool,
    /// Also delete a name of an image or of anything else that is no cache; its blobs stay
    #[arg(long)]
    pub(crate) any: bool,
    /// Show what would be deleted, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `prune SPEC`
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  buildcache prune --dry-run type=local,src=cache
  buildcache prune --older-than 30d --keep main --keep 'release-*' ghcr.io/me/app-cache
  buildcache prune -f --keep-latest 5 --max-used-space 50GB type=s3,bucket=b,region=r
  buildcache prune --dry-run -o json --older-than 7d type=local,src=cache > plan.json
  buildcache prune -f --apply plan.json type=local,src=cache

Names of --keep and the caches of --keep-latest always stay. Of the others, those
of --older-than go, then the oldest until --max-used-space is kept to; with
--keep-latest alone, all others go. Without any of them no cache goes, only blobs
that no cache reaches. Asks first on a terminal; elsewhere -f is needed.")]
pub(crate) struct PruneArgs {
    /// Any cache of the store
    pub(crate) spec: String,
    /// Delete caches written longer ago than this, like 30d or 12h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    /// Delete the oldest caches until the rest takes at most this, like 50GB or 512MiB; shared blobs count once
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_used_space: Option<u64>,
    /// Keep the newest N caches
    #[arg(long, value_name = "N")]
    pub(crate) keep_latest: Option<usize>,
    /// Keep caches whose names match, like main or 'release-*'
    #[arg(long, value_name = "NAME")]
    pub(crate) keep: Vec<String>,
    /// Keep blobs younger than this, so that no running export loses one [default: 25h for s3, else 1h]
    #[arg(long, value_name = "DURATION", value_parser = grace)]
    pub(crate) grace: Option<Duration>,
    /// Delete at most so many blobs a second, for a store that others work with [default: as many as it takes]
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Show what would be deleted, and delete nothing; with -o json, print a plan for --apply
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Carry out a plan of --dry-run -o json, as far as the store has not changed; - reads it from stdin
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["older_than", "max_used_space", "keep_latest", "keep", "grace", "dry_run"])]
    pub(crate) apply: Option<PathBuf>,
}

/// `doctor SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache doctor ghcr.io/me/app:cache
  buildcache doctor -o json type=local,dest=cache

Tries everything with tiny artefacts of its own and takes them away again; no
cache is touched. Exits 0 when a cache can be written, 1 when none can, and 5
when that is not allowed.")]
pub(crate) struct DoctorArgs {
    /// A place to write a cache to
    pub(crate) spec: String,
}

/// `specs [TYPE]`
#[derive(Debug, Args)]
pub(crate) struct SpecsArgs {
    /// Only those of this type
    #[arg(value_name = "TYPE")]
    pub(crate) kind: Option<String>,
}

/// `man DIR`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where to write them; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// `__complete WORD`
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// What is there of the word
    pub(crate) word: String,
}

/// `completions SHELL`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    pub(crate) shell: Shell,
}

/// `table`, `json`, `dot`, or a file.
fn output_form(text: &str) -> Result<OutputForm, String> {
    match text {
        "" => Err("expected table, json, or for report the file to write".to_owned()),
        "table" => Ok(OutputForm::Table),
        "json" => Ok(OutputForm::Json),
        "dot" => Ok(OutputForm::Dot),
        path => Ok(OutputForm::File(path.into())),
    }
}

/// A duration as the attributes of a spec are read (`24h`, `1h30m`), and days before it (`7d`, `1d12h`).
fn duration(text: &str) -> Result<Duration, String> {
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.parse::<u32>().map_err(|_| bad_duration())?, rest),
        None => (0, text),
    };
    let rest = if days > 0 && rest.is_empty() { "0" } else { rest };
    let spec = CacheSpec::new("flag").with("timeout", rest);
    let rest = spec.attrs().duration("timeout").ok().flatten().ok_or_else(bad_duration)?;
    let total = Duration::from_secs(u64::from(days) * 86_400).saturating_add(rest);
    if total.is_zero() { Err("the time has to be longer than nothing".to_owned()) } else { Ok(total) }
}

/// A duration that may be nothing.
fn grace(text: &str) -> Result<Duration, String> {
    if ["0", "0s"].contains(&text) { Ok(Duration::ZERO) } else { duration(text) }
}

/// A size with or without a unit (`512MiB`, `2GB`, `1000`).
fn size(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<bytesize::ByteSize>();
    parsed.map(|size| size.as_u64()).map_err(|_| "expected a number like 2GB or 512MiB".to_owned())
}

/// Without the text: a flag whose value was forgotten takes the spec after it.
fn bad_duration() -> String {
    "expected a number with a unit, like 90s, 1h30m or 7d".to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_those_of_go_and_days() {
        let cases = [("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("1d12h", 129_600), ("1.5s", 1)];
        for (text, seconds) in cases {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        assert_eq!((grace("0"), grace("1h")), (Ok(Duration::ZERO), Ok(Duration::from_secs(3_600))));
        for bad in ["", "0", "0s", "7", "d", "1.5d", "-1h", "7d1", "1w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units_of_both_kinds() {
        for (text, bytes) in [("1000", 1_000), ("2GB", 2_000_000_000), ("512MiB", 536_870_912), ("0", 0)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GB", "-1", "2XB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quiet_turns_progress_off_unless_a_form_is_asked_for() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["buildcache", "ls", "x"], args].concat());
        assert_eq!(parse(&["-q"]).unwrap().globals.progress_form(), ProgressForm::Quiet);
        assert_eq!(parse(&["-q", "--progress", "plain"]).unwrap().globals.progress_form(), ProgressForm::Plain);
        assert_eq!(parse(&[]).unwrap().globals.progress_form(), ProgressForm::Auto);
        assert!(parse(&["-vv"]).unwrap().globals.logs_requests());
        assert!(parse(&["-q", "-o", "json"]).is_err());
    }
}
