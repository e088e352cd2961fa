//! The command lines of `rm` and `prune`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{duration, grace, size};

/// `rm SPEC`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  buildcache rm type=local,src=cache,tag=old
  buildcache rm -f --blobs type=local,src=cache,tag=old

Asks first on a terminal; elsewhere -f is needed. What is not a cache stays, and so
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
    /// Also delete a name of an image, or of anything else that is not a cache; its blobs are kept
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
    /// Delete at most N blobs a second, for a store that others use [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Show what would be deleted, and delete nothing; with -o json, print a plan for --apply
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Carry out a plan of --dry-run -o json, except for what has changed since; - reads it from stdin
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["older_than", "max_used_space", "keep_latest", "keep", "grace", "dry_run"])]
    pub(crate) apply: Option<PathBuf>,
}
