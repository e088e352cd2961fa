//! `buildcache.optimize/v1`

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use cache_ops::{CacheSizes, CopyReport, Optimized};
use serde::Serialize;

use crate::output::Report;
use crate::report::{BlobReport, DroppedReport, SizesReport, digest_of, dropped_lines};
use crate::table::{Column, Table};
use crate::text;
use crate::verbs::rewrite::Rewrite;

/// How large a cache was and is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Optimization {
    /// What this document is.
    schema: &'static str,
    /// The spec that is read.
    cache: String,
    /// The spec that is written; the same in place.
    destination: String,
    /// What came of it.
    status: Status,
    /// The limit of the config in bytes; `null` for none.
    max_config_size: Option<u64>,
    /// The sizes of the cache that was read.
    before: SizesReport,
    /// The sizes of the smaller one.
    after: SizesReport,
    /// The results that had to go for the limit.
    dropped: Vec<DroppedReport>,
    /// How many layers were converted to another compression; for a dry run, how many would be.
    converted: usize,
    /// What was committed.
    manifest: Option<BlobReport>,
    #[serde(skip)]
    digest: Option<Digest>,
}

/// The outcome for one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// It cannot be made smaller.
    Unchanged,
    /// It is smaller.
    Optimized,
    /// Nothing was written, because that was asked for.
    DryRun,
}

impl Optimization {
    pub(super) fn new(
        rewrite: &Rewrite,
        status: Status,
        max_config_size: Option<u64>,
        converted: usize,
        optimized: &Optimized,
        written: Option<&CopyReport>,
    ) -> Self {
        let manifest = written.and_then(|written| written.export.committed.descriptor.as_ref()).map(BlobReport::from);
        let own = if written.is_none() { digest_of(rewrite.manifest()) } else { None };
        Self {
            schema: "buildcache.optimize/v1",
            cache: rewrite.source.spec.to_string(),
            destination: rewrite.destination().to_string(),
            status,
            max_config_size,
            before: optimized.before.into(),
            after: written.map_or(optimized.after, |written| CacheSizes::of(&written.manifest)).into(),
            dropped: optimized.dropped.iter().map(DroppedReport::from).collect(),
            converted,
            digest: manifest.as_ref().map(|manifest| manifest.digest).or(own),
            manifest,
        }
    }
}

impl Report for Optimization {
    fn table(&self, now: Timestamp, all: bool) -> String {
        let mut text = dropped_lines(&self.dropped, now, all);
        let mut table = Table::new([Column::Left(""), Column::Right("BEFORE"), Column::Right("AFTER")]);
        let (before, after) = (&self.before, &self.after);
        table.row(["config".to_owned(), text::size(before.config_size), text::size(after.config_size)]);
        let counts = [
            ("records", before.records, after.records),
            ("results", before.results, after.results),
            ("layers", before.layers, after.layers),
        ];
        for (name, before, after) in counts {
            table.row([name.to_owned(), before.to_string(), after.to_string()]);
        }
        table.row(["blobs".to_owned(), text::size(before.bytes), text::size(after.bytes)]);
        let _ = write!(text, "{table}");
        let layers = text::count(self.converted, "layer");
        let verdict = match (self.status, self.converted) {
            (Status::Unchanged, _) => "unchanged: it cannot be made smaller".to_owned(),
            (Status::Optimized, 0) => "optimized".to_owned(),
            (Status::Optimized, _) => format!("optimized; {layers} converted"),
            (Status::DryRun, 0) => "nothing is written".to_owned(),
            (Status::DryRun, _) => format!("nothing is written; {layers} would be converted"),
        };
        let _ = writeln!(text, "{verdict}");
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}
