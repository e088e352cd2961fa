//! `buildcache.prune-plan/v1`: what `--dry-run` prints and `--apply` reads.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use cache_core::{Digest, Timestamp};
use cache_ops::{PlannedCache, PrunePlan, PruneReason};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::table::{Column, Table};
use crate::text;

const SCHEMA: &str = "buildcache.prune-plan/v1";
/// How large a plan may be: a million blobs.
const LIMIT: u64 = 512 << 20;
/// How many blobs are listed unless all are asked for.
const LISTED: usize = 10;

/// A plan, and the store that it is for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlanFile {
    schema: String,
    store: String,
    #[serde(flatten)]
    plan: PrunePlan,
}

impl PlanFile {
    pub(super) fn new(store: String, plan: PrunePlan) -> Self {
        Self { schema: SCHEMA.to_owned(), store, plan }
    }

    /// Reads a plan that was made for `store`.
    pub(super) fn read(path: &Path, store: &str) -> Result<PrunePlan, Failure> {
        let bytes = read(path)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot read the plan {}: {error}", path.display())))?;
        let file: Self = serde_json::from_slice(&bytes).map_err(|error| {
            let failure = Failure::usage(format!("{} is no plan: {error}", path.display()));
            failure.with_hint("prune --dry-run -o json makes one")
        })?;
        if file.schema != SCHEMA {
            return Err(Failure::usage(format!("the plan has the schema {}, not {SCHEMA}", file.schema)));
        }
        if file.store != store {
            let failure = Failure::usage(format!("the plan is for {}, not for {store}", file.store));
            return Err(failure.with_hint("write the spec as it was when the plan was made"));
        }
        Ok(file.plan)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes)?
    } else {
        File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?
    };
    if read as u64 > LIMIT { Err(io::Error::other("it is too large")) } else { Ok(bytes) }
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
                table.row([name(cache), text::size(cache.bytes), written, words(cache.reason).to_owned()]);
            }
            let _ = writeln!(text, "{table}");
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

/// What no cache reaches and stays all the same; nothing where that is nothing.
pub(super) fn young(blobs: usize, bytes: u64, grace_seconds: u64) -> String {
    if blobs == 0 {
        return String::new();
    }
    let (count, size) = (text::count(blobs, "blob"), text::size(bytes));
    let grace = text::elapsed(Duration::from_secs(grace_seconds));
    format!("--grace keeps {count}, {size}, that no cache reaches: younger than {grace}\n")
}

/// What a cache is called.
pub(super) fn name(cache: &PlannedCache) -> String {
    let digest = || cache.digest.map(|digest| digest.to_string()).unwrap_or_default();
    cache.name.clone().unwrap_or_else(digest)
}

pub(super) fn words(reason: PruneReason) -> &'static str {
    match reason {
        PruneReason::OlderThan => "--older-than",
        PruneReason::NotLatest => "--keep-latest",
        PruneReason::MaxUsedSpace => "--max-used-space",
        PruneReason::Contribution => "left by a publisher",
    }
}
