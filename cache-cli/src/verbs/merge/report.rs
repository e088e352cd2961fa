//! `buildcache.merge/v1`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cache_core::{CacheManifest, CacheSpec, Digest, Timestamp};
use cache_ops::{CacheSizes, ExportReport};
use serde::Serialize;

use crate::output::Report;
use crate::report::{BlobReport, SizesReport, digest_of};
use crate::table::{Column, Table};
use crate::text;

/// What was merged, and into what.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Merge {
    /// What this document is.
    schema: &'static str,
    /// What came of it.
    status: Status,
    /// The caches that were merged.
    sources: Vec<Part>,
    /// The spec that is written.
    destination: String,
    /// The sizes of the merged cache.
    merged: SizesReport,
    /// How many blobs came to be at the destination, by which means.
    blobs: BTreeMap<&'static str, usize>,
    /// The bytes that were read from the sources and sent.
    bytes_sent: u64,
    /// What was committed.
    manifest: Option<BlobReport>,
}

/// How a merge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// The destination holds the union of the sources.
    Merged,
    /// The destination holds what it held, and the union of the sources with it.
    Published,
    /// Nothing was written, because that was asked for.
    DryRun,
}

/// A cache that was merged.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Part {
    /// Its spec.
    cache: String,
    /// The manifest that it led to.
    digest: Option<Digest>,
    #[serde(flatten)]
    sizes: SizesReport,
}

impl Merge {
    pub(super) fn new<'a>(
        status: Status,
        sources: impl Iterator<Item = (&'a CacheSpec, &'a CacheManifest)>,
        destination: &CacheSpec,
        merged: &CacheManifest,
        written: Option<&ExportReport>,
    ) -> Self {
        let part = |(spec, manifest): (&CacheSpec, &CacheManifest)| Part {
            cache: spec.to_string(),
            digest: digest_of(manifest),
            sizes: CacheSizes::of(manifest).into(),
        };
        Self {
            schema: "buildcache.merge/v1",
            status,
            sources: sources.map(part).collect(),
            destination: destination.to_string(),
            merged: CacheSizes::of(merged).into(),
            blobs: written.map(|written| written.pushed.clone()).unwrap_or_default(),
            bytes_sent: written.map_or(0, |written| written.bytes),
            manifest: written.and_then(|written| written.committed.descriptor.as_ref()).map(BlobReport::from),
        }
    }
}

impl Report for Merge {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let columns = [
            Column::Left("CACHE"),
            Column::Right("RECORDS"),
            Column::Right("RESULTS"),
            Column::Right("LAYERS"),
            Column::Right("CONFIG"),
            Column::Right("BLOBS"),
        ];
        let mut table = Table::new(columns);
        let mut row = |name: &str, sizes: &SizesReport| {
            table.row([
                name.to_owned(),
                sizes.records.to_string(),
                sizes.results.to_string(),
                sizes.layers.to_string(),
                text::size(sizes.config_size),
                text::size(sizes.bytes),
            ]);
        };
        self.sources.iter().for_each(|part| row(&part.cache, &part.sizes));
        row(&self.destination, &self.merged);
        let mut text = table.to_string();
        let verdict = match self.status {
            Status::Merged => "merged",
            Status::Published => "published",
            Status::DryRun => "nothing is written",
        };
        let digest = self.manifest.as_ref().map(|manifest| format!(" {}", manifest.digest)).unwrap_or_default();
        let _ = writeln!(text, "{verdict}{digest}: {} sent", text::size(self.bytes_sent));
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.manifest.iter().map(|manifest| manifest.digest).collect()
    }
}
