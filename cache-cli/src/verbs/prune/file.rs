//! `buildcache.prune-plan/v1`: what `--dry-run` prints and `--apply` reads.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use cache_core::{Digest, Timestamp};
use cache_kit::open_file;
use cache_ops::{PlannedCache, PrunePlan, PruneReason};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::table::{Column, Table};
use crate::text;

const SCHEMA: &str = "buildcache.prune-plan/v1";
/// The largest plan in bytes, enough for a million blobs.
const LIMIT: u64 = 256 << 20;
/// Blobs that are listed, unless all are asked for.
const LISTED: usize = 10;

/// A plan, and the store that it is for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PlanFile {
    /// What this document is.
    schema: &'static str,
    /// The spec of the store.
    store: String,
    #[serde(flatten)]
    plan: PrunePlan,
}

/// The fields beside the plan in the file.
#[derive(Deserialize)]
struct Head {
    schema: String,
    store: String,
}

impl PlanFile {
    pub(super) fn new(store: String, plan: PrunePlan) -> Self {
        Self { schema: SCHEMA, store, plan }
    }

    /// Reads a plan that was made for `store`.
    pub(super) fn read(path: &Path, store: &str) -> Result<PrunePlan, Failure> {
        let bytes = read(path)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot read the plan {}: {error}", path.display())))?;
        let no_plan = |error| {
            let failure = Failure::usage(format!("{} is not a plan: {error}", path.display()));
            failure.with_hint("prune --dry-run -o json makes one")
        };
        // Head and plan are parsed one after the other. In one pass, `flatten` would buffer the plan in many times its
        // size.
        let head: Head = serde_json::from_slice(&bytes).map_err(no_plan)?;
        if head.schema != SCHEMA {
            return Err(Failure::usage(format!("the plan has the schema {}, not {SCHEMA}", head.schema)));
        }
        if head.store != store {
            let failure = Failure::usage(format!("the plan is for {}, not for {store}", head.store));
            return Err(failure.with_hint("write the spec as it was when the plan was made"));
        }
        serde_json::from_slice(&bytes).map_err(no_plan)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") { read_whole(io::stdin().lock()) } else { read_whole(open_file(path)?) }
}

/// Reads a plan. If the beginning is not a JSON object, the rest is not read.
fn read_whole(file: impl Read) -> io::Result<Vec<u8>> {
    let (mut file, mut bytes) = (BufReader::new(file.take(LIMIT + 1)), Vec::new());
    let begin = file.fill_buf()?;
    if begin.trim_ascii_start().starts_with(b"{") {
        file.read_to_end(&mut bytes)?;
    } else {
        bytes.extend_from_slice(begin);
    }
    if bytes.len() as u64 > LIMIT { Err(io::Error::other("it is too large")) } else { Ok(bytes) }
}

impl Report for PlanFile {
    fn table(&self, now: Timestamp, all: bool) -> String {
        let plan = &self.plan;
        let mut text = String::new();
        if !plan.caches.is_empty() {
            let mut table = Table::new([
                Column::Left("WOULD DELETE"),
                Column::Right("BYTES"),
                Column::Left("WRITTEN"),
                Column::Left("WHY"),
            ]);
            for cache in &plan.caches {
                let written = text::time_and_age(cache.modified, now);
                table.row([name(cache), text::size(cache.bytes), written, why(cache)]);
            }
            let _ = writeln!(text, "{table}");
        }
        if plan.caches.iter().any(|cache| cache.may_stay_with.is_some()) {
            text.push_str("may stay: some registries delete a manifest only with all of its tags\n");
        }
        let _ = writeln!(text, "{} and {} stay", text::count(plan.kept_caches, "cache"), text::size(plan.kept_bytes));
        if let Some(blobs) = &plan.blobs {
            let _ = writeln!(text, "would delete {}, {}", text::count(blobs.len(), "blob"), text::size(plan.bytes()),);
            text.push_str(&young(plan.young_blobs, plan.young_bytes, plan.grace_seconds));
            let limit = if all { usize::MAX } else { LISTED };
            for blob in blobs.iter().take(limit) {
                let _ = writeln!(text, "  {}  {}", blob.digest, text::size(blob.size));
            }
            if blobs.len() > limit {
                let _ = writeln!(text, "  and {} more; -v lists all", blobs.len() - limit);
            }
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        let blobs = self.plan.blobs.iter().flatten().map(|blob| blob.digest);
        self.plan.caches.iter().filter_map(|cache| cache.digest).chain(blobs).collect()
    }
}

/// A line about unreachable blobs that are kept because they are young; empty if there are none.
pub(super) fn young(blobs: usize, bytes: u64, grace_seconds: u64) -> String {
    if blobs == 0 {
        return String::new();
    }
    let (count, size) = (text::count(blobs, "blob"), text::size(bytes));
    let grace = text::elapsed(Duration::from_secs(grace_seconds));
    format!("--grace keeps {count}, {size}, that no cache reaches: younger than {grace}\n")
}

/// The name of a cache, or its digest.
pub(super) fn name(cache: &PlannedCache) -> String {
    let digest = || cache.digest.map(|digest| digest.to_string()).unwrap_or_default();
    cache.name.clone().unwrap_or_else(digest)
}

/// Why a cache is to be deleted, and what may keep it.
pub(super) fn why(cache: &PlannedCache) -> String {
    let reason = words(cache.reason);
    match &cache.may_stay_with {
        Some(name) => format!("{reason}, may stay with {name}"),
        None => reason.to_owned(),
    }
}

pub(super) fn words(reason: PruneReason) -> &'static str {
    match reason {
        PruneReason::OlderThan => "--older-than",
        PruneReason::NotLatest => "--keep-latest",
        PruneReason::MaxUsedSpace => "--max-used-space",
        PruneReason::Contribution => "left by a publisher",
    }
}
