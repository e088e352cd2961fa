//! `buildcache.optimize/v1`

use std::fmt::Write as _;

use cache_core::{Digest, ExportReport, Timestamp};
use cache_ops::Optimized;
use serde::Serialize;

use crate::output::Report;
use crate::report::{BlobReport, DroppedReport, SizesReport, digest_of, dropped_lines};
use crate::text::{self, Column, Table};
use crate::verbs::rewrite::Rewrite;

/// How large a cache was and is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Optimization {
    schema: &'static str,
    cache: String,
    destination: String,
    status: Status,
    max_config_size: Option<u64>,
    before: SizesReport,
    after: SizesReport,
    /// The results that had to go for the limit.
    dropped: Vec<DroppedReport>,
    /// What was committed.
    manifest: Option<BlobReport>,
    #[serde(skip)]
    digest: Option<Digest>,
}

/// What came of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
        optimized: &Optimized,
        written: Option<&ExportReport>,
    ) -> Self {
        let manifest = written.and_then(|written| written.committed.descriptor.as_ref()).map(BlobReport::from);
        let own = if written.is_none() { digest_of(rewrite.manifest()) } else { None };
        Self {
            schema: "buildcache.optimize/v1",
            cache: rewrite.source.spec.to_string(),
            destination: rewrite.destination().to_string(),
            status,
            max_config_size,
            before: optimized.before.into(),
            after: optimized.after.into(),
            dropped: optimized.dropped.iter().map(DroppedReport::from).collect(),
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
        let verdict = match self.status {
            Status::Unchanged => "unchanged: it cannot be made smaller",
            Status::Optimized => "optimized",
            Status::DryRun => "nothing is written",
        };
        let _ = writeln!(text, "{verdict}");
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}
