//! `buildcache.copy/v1`

use std::fmt::Write as _;
use std::time::Duration;

use cache_core::manifest::ManifestForm;
use cache_core::model::Limits;
use cache_core::seams::{Committed, Coverage};
use cache_core::{CacheManifest, Descriptor, Digest, Pushed, Timestamp};
use cache_ops::{Conversion, CopyReport};
use serde::Serialize;

use super::target::Target;
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::report::BlobReport;
use crate::text;
use crate::verbs::compression::layers_to_convert;

/// What a copy did, for every cache and every destination.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Copies {
    /// What this document is.
    schema: &'static str,
    /// Whether nothing was written, because that was asked for.
    dry_run: bool,
    /// One for each cache and destination.
    pub(super) copies: Vec<Copied>,
    /// How many names of the store lead to something that is not a cache.
    #[serde(skip_serializing_if = "is_none")]
    pub(super) others: usize,
    /// The first failure that counts.
    #[serde(skip)]
    failed: Option<Exit>,
}

/// The outcome for one destination.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Copied {
    /// The name of the cache, where every cache of a store is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The spec that is written.
    pub(super) destination: String,
    /// What came of it.
    status: Status,
    /// What was committed.
    pub(super) manifest: Option<BlobReport>,
    /// How many blobs came to be at the destination, by which means.
    blobs: Counts,
    /// How many layers were converted to another compression; for a dry run, how many would be.
    converted: usize,
    /// How many of the images' layers the cache leads to, where it was put into images.
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<CoverageReport>,
    /// The bytes that were handed to the destination.
    bytes_sent: u64,
    /// The bytes of all blobs.
    total_bytes: u64,
    /// The blobs that the source has lost and `--skip-missing` did without.
    skipped: Vec<Digest>,
    /// The blobs that the destination can neither take nor show; the results that need them are left out.
    left_out: Vec<Digest>,
    /// For a dry run, the blobs that would be pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_push: Option<Vec<BlobReport>>,
    /// For a dry run, how many blobs the destination has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    already_there: Option<usize>,
    /// How long it took until the commit; where it failed, until every destination was done.
    milliseconds: u64,
    /// Why it failed.
    error: Option<String>,
    #[serde(skip)]
    pub(super) failure: Option<Failure>,
    #[serde(skip)]
    warnings: Vec<String>,
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// The destination holds the cache.
    Copied,
    /// The cache has no layers, and nothing was written.
    Empty,
    /// A dry run: nothing was written.
    DryRun,
    /// It failed, and `ignore-error` is set.
    Ignored,
    /// It failed.
    Failed,
}

/// How the blobs came to be at the destination.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counts {
    /// They were sent.
    uploaded: usize,
    /// They were there.
    present: usize,
    /// They were there, and were made new.
    refreshed: usize,
    /// The registry had them in another repository.
    mounted: usize,
    /// The image does not need them.
    unneeded: usize,
}

/// The layers of images that the records in them lead to.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CoverageReport {
    /// How many layers the records lead to.
    covered: usize,
    /// How many layers the images have.
    layers: usize,
}

/// The report of a copy that did not fail.
pub(super) struct Written {
    pub(super) copied: CopyReport,
    pub(super) would_push: Option<WouldPush>,
}

/// What a dry run found.
pub(super) struct WouldPush {
    /// The blobs that would be pushed, in order of their digests.
    pub(super) blobs: Vec<Descriptor>,
    /// How many blobs exist at the destination.
    pub(super) already_there: usize,
}

impl Copies {
    pub(super) fn new(dry_run: bool) -> Self {
        Self { schema: "buildcache.copy/v1", dry_run, copies: Vec::new(), others: 0, failed: None }
    }

    pub(super) fn add(&mut self, copied: Copied) {
        if let Some(failure) = copied.failure.as_ref().filter(|_| copied.status == Status::Failed) {
            self.fail(failure.exit);
        }
        self.copies.push(copied);
    }

    /// Records a failure. The first one sets the exit code.
    pub(super) fn fail(&mut self, exit: Exit) {
        self.failed.get_or_insert(exit);
    }

    pub(super) fn exit(&self) -> Exit {
        self.failed.unwrap_or(Exit::Done)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Report for Copies {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let mut text = String::new();
        for copied in self.copies.iter().filter(|copied| copied.failure.is_none()) {
            let Some(blobs) = &copied.would_push else {
                let _ = writeln!(text, "{}", text::printable(&copied.summary()));
                continue;
            };
            let size = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
            let (count, size) = (text::count(blobs.len(), "blob"), text::size(size));
            let there = text::count(copied.already_there.unwrap_or(0), "blob");
            let line = format!("would push {count}, {size}, to {}, which has {there} already", copied.destination);
            let _ = writeln!(text, "{}", text::printable(&line));
            for blob in blobs {
                let _ = writeln!(text, "  {}  {}", blob.digest, text::size(blob.size));
            }
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.copies.iter().filter_map(|copied| Some(copied.manifest.as_ref()?.digest)).collect()
    }

    fn identifiers(&self) -> Vec<String> {
        let there = self.copies.iter().filter(|copied| copied.failure.is_none());
        let digest = |copied: &Copied| copied.manifest.as_ref().map(|manifest| manifest.digest.to_string());
        there.filter_map(|copied| copied.name.clone().or_else(|| digest(copied))).collect()
    }
}

impl Copied {
    pub(super) fn new(
        target: &Target,
        source: &CacheManifest,
        result: Result<Written, Failure>,
        time: Duration,
    ) -> Self {
        let destination = target.place.spec.to_string();
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(written) => {
                let mut copied = Self { destination, milliseconds, ..Self::of_written(&written, source) };
                if let Some(conversion) = target.conversion.as_ref().filter(|_| copied.status == Status::DryRun) {
                    copied.expect_conversions(&written.copied.manifest, conversion);
                }
                copied
            }
            Err(failure) => {
                let status = if target.ignores_errors { Status::Ignored } else { Status::Failed };
                let error = Some(failure.message.clone());
                Self { destination, milliseconds, error, failure: Some(failure), ..Self::with_status(status) }
            }
        }
    }

    fn with_status(status: Status) -> Self {
        Self {
            name: None,
            destination: String::new(),
            status,
            manifest: None,
            blobs: Counts::default(),
            converted: 0,
            coverage: None,
            bytes_sent: 0,
            total_bytes: 0,
            skipped: Vec::new(),
            left_out: Vec::new(),
            would_push: None,
            already_there: None,
            milliseconds: 0,
            error: None,
            failure: None,
            warnings: Vec::new(),
        }
    }

    fn of_written(Written { copied, would_push }: &Written, source: &CacheManifest) -> Self {
        let export = &copied.export;
        let status = match (would_push, &export.committed.version) {
            (Some(_), _) => Status::DryRun,
            (None, Some(_)) => Status::Copied,
            (None, None) => Status::Empty,
        };
        let blobs = match status {
            Status::DryRun => Counts::default(),
            _ => Counts {
                uploaded: export.count(Pushed::Uploaded),
                present: export.count(Pushed::Present),
                refreshed: export.count(Pushed::Refreshed),
                mounted: export.count(Pushed::Mounted),
                unneeded: export.count(Pushed::Unneeded),
            },
        };
        Self {
            manifest: export.committed.descriptor.as_ref().map(BlobReport::from),
            blobs,
            coverage: export.committed.coverage.map(|Coverage { covered, layers }| CoverageReport { covered, layers }),
            converted: copied.converted.len(),
            bytes_sent: export.bytes,
            total_bytes: copied.manifest.unique_bytes(),
            skipped: copied.skipped.clone(),
            left_out: export.left_out.clone(),
            would_push: would_push.as_ref().map(|would| would.blobs.iter().map(BlobReport::from).collect()),
            already_there: would_push.as_ref().map(|would| would.already_there),
            warnings: warnings(status, copied, source),
            ..Self::with_status(status)
        }
    }

    /// A dry run converts nothing, and reports how many layers would be converted.
    fn expect_conversions(&mut self, manifest: &CacheManifest, conversion: &Conversion) {
        self.converted = layers_to_convert(manifest, conversion);
        if self.converted > 0 {
            let layers = text::count(self.converted, "layer");
            self.warnings.push(format!(
                "{layers} would be converted to {} first, and get other digests",
                conversion.compression().kind()
            ));
        }
    }

    /// Sets the name of the cache.
    pub(super) fn named(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// Whether it failed and `ignore-error` is set.
    pub(super) fn is_ignored(&self) -> bool {
        self.status == Status::Ignored
    }

    /// Why BuildKit cannot use all of what was written.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// One line for people.
    fn summary(&self) -> String {
        if self.status == Status::Empty {
            return format!("no cache is written to {}", self.destination);
        }
        let manifest = self.manifest.as_ref().map_or_else(String::new, |manifest| format!("{} ", manifest.digest));
        if let Some(CoverageReport { covered, layers }) = self.coverage {
            let layers = text::count(layers, "layer");
            let embedded = format!("embedded in {manifest}at {}", self.destination);
            return format!("{embedded}: the records cover {covered} of {layers} of the image");
        }
        let Counts { uploaded, present, refreshed, mounted, .. } = self.blobs;
        let means = [(uploaded, "uploaded"), (present, "present"), (refreshed, "refreshed"), (mounted, "mounted")];
        let means = means.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        let means = means.collect::<Vec<_>>().join(", ");
        let blobs = if means.is_empty() { "no blobs".to_owned() } else { format!("blobs {means}") };
        let (sent, all) = (text::size(self.bytes_sent), text::size(self.total_bytes));
        let time = text::elapsed(Duration::from_millis(self.milliseconds));
        let converted = match self.converted {
            0 => String::new(),
            layers => format!("; {} converted", text::count(layers, "layer")),
        };
        format!("copied {manifest}to {}: {blobs}{converted}; {sent} of {all} sent in {time}", self.destination)
    }
}

fn warnings(status: Status, copied: &CopyReport, source: &CacheManifest) -> Vec<String> {
    let mut warnings = Vec::new();
    if !copied.skipped.is_empty() {
        let lost = text::count(copied.skipped.len(), "blob");
        warnings.push(format!("the source has lost {lost}; the results that need them are left out"));
    }
    if status == Status::Empty && copied.export.left_out.is_empty() {
        warnings.push("the cache has no layers: nothing is written, as BuildKit writes nothing then".to_owned());
    }
    let committed = &copied.export.committed;
    warnings.extend(split_leaves(&copied.manifest, committed));
    // BuildKit has no size limit for the config and the manifest of an image.
    let Some(manifest) = committed.descriptor.as_ref().filter(|_| committed.coverage.is_none()) else {
        return warnings;
    };
    let config = copied.manifest.config_document().descriptor.size;
    let limit = Limits::BUILDKIT_IMPORT;
    for (name, size) in [("config", config), ("manifest", manifest.size)] {
        if size > limit {
            let message =
                format!("the {name} is {}, and BuildKit imports at most {}", text::size(size), text::size(limit));
            warnings.push(message);
        }
    }
    let is_image_manifest = manifest.media_type == ManifestForm::ImageManifest.media_type();
    if is_image_manifest && source.form().is_some_and(|form| form != ManifestForm::ImageManifest) {
        warnings.push(
            "BuildKit before v0.12 cannot read an image manifest; image-manifest=false writes an index".to_owned(),
        );
    }
    warnings
}

/// The warning about a config with several leaves. A config whose bytes were kept still has them; one that was encoded
/// again has one.
fn split_leaves(manifest: &CacheManifest, committed: &Committed) -> Option<String> {
    let leaves = manifest.split_leaves()?;
    let is_kept = committed.coverage.is_none()
        && committed.version.is_some()
        && committed.descriptor.is_some() == manifest.raw_manifest().is_some();
    is_kept.then(|| {
        format!(
            "BuildKit v0.25.0 and later find only a part of this cache, a different part each time ({leaves} leaves share \
             records); optimize makes all of it findable"
        )
    })
}
