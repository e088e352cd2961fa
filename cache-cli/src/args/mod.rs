//! The command line: verbs, flags and their help.

mod comparison;
mod compression;
mod deletion;
mod login;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use cache_core::Mode;
use cache_ops::Shard;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::comparison::{DiffArgs, ExplainArgs, ReportArgs};
pub(crate) use self::compression::CompressionArgs;
pub(crate) use self::deletion::{PruneArgs, RmArgs};
pub(crate) use self::login::{LoginArgs, LogoutArgs};
use self::values::{duration, output_form, size};
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
    /// Print only digests on stdout (names for ls and copy --all), and no progress
    #[arg(short, long, global = true, conflicts_with = "output")]
    pub(crate) quiet: bool,
    /// List everything that is otherwise shortened; -vv also logs each request (RUST_LOG selects which)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Format of progress on stderr [default: auto]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub(crate) progress: Option<ProgressForm>,
    /// How many blobs are in flight at once [default: 4 large ones, up to 64 small ones as long as the store keeps up]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: Option<u16>,
    /// Give up after this time, like 90s, 1h30m or 7d
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Read logins to registries from FILE first, and store new ones there, as with $REGISTRY_AUTH_FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Warn about unknown attributes in a spec instead of refusing them
    #[arg(long, global = true)]
    pub(crate) ignore_unknown: bool,
}

impl Globals {
    /// Whether everything is listed.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Whether each request is logged.
    pub(crate) fn logs_requests(&self) -> bool {
        self.verbose > 1
    }

    /// The format of progress; `--quiet` turns it off unless a format is given.
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
    /// Copy a cache to one or more places
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
    /// Test what a store can do, and print the --cache-to to use
    Doctor(DoctorArgs),
    /// Log in to a registry, as docker login does
    Login(LoginArgs),
    /// Remove the login to a registry
    Logout(LogoutArgs),
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
    /// Check only this part of the blobs, 1/N to N/N
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
    #[arg(required_unless_present = "findings")]
    pub(crate) spec: Option<String>,
    /// Write the sound cache here, and leave the damaged one as it is
    #[arg(long, value_name = "DST")]
    pub(crate) to: Option<String>,
    /// Count a blob as sound if it exists with its size; read none
    #[arg(long)]
    pub(crate) fast: bool,
    /// Use the output of verify -o json, of all shards, and read no blob; SPEC may come last
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
    /// The directory to write to; it is created if needed
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
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
