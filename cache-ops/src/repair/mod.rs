//! `repair`: the largest sound cache that is in a damaged one.

mod blobs;
mod knot;
mod loops;
mod salvage;

use std::collections::BTreeMap;

use cache_core::graph::FindingCode;
use cache_core::model::Limits;
use cache_core::{
    BlobProvider, CacheChains, CacheKey, CacheManifest, Descriptor, Digest, Error, ErrorKind, Finding, Result, check,
};

use self::blobs::Verdicts;
use self::salvage::Salvaged;
use crate::Depth;
use crate::optimize::{DroppedResult, OptimizeOptions, optimize};

/// How [`repair`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairOptions {
    /// With [`Depth::Fast`] a blob counts as sound when it exists with its size; nothing can be mended from bytes.
    pub(crate) depth: Depth,
    /// How many blobs are examined at once.
    pub(crate) concurrency: usize,
}

impl Default for RepairOptions {
    /// Reads every blob, 4 at once.
    fn default() -> Self {
        Self { depth: Depth::Deep, concurrency: 4 }
    }
}

impl RepairOptions {
    /// Changes how thoroughly blobs are examined.
    #[must_use]
    pub fn with_depth(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// Changes how many blobs are examined at once; at least one.
    #[must_use]
    pub fn with_concurrency(self, concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), ..self }
    }
}

/// The outcome of a repair.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Repaired {
    /// The sound cache; unchanged, with the same bytes, if nothing was wrong.
    pub manifest: CacheManifest,
    /// Everything that was wrong.
    pub findings: Vec<Finding>,
    /// The blobs whose descriptors were mended.
    pub mended: Vec<MendedBlob>,
    /// The results that were dropped, and those that were replaced by an older or shorter one of their record.
    pub dropped: Vec<DroppedResult>,
    /// The keys of the records that were dropped, because they lack an input or led only to dropped results.
    pub dropped_records: Vec<CacheKey>,
}

/// A blob whose descriptor was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MendedBlob {
    /// The descriptor as it is now.
    pub descriptor: Descriptor,
    /// What was wrong with it.
    pub codes: Vec<FindingCode>,
}

impl Repaired {
    /// Whether anything was repaired.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.findings.is_empty()
    }
}

/// Makes the largest sound cache of a damaged one: of what `manifest` says and `blobs` still has.
///
/// The manifest may have links that lead nowhere, and loops. Results whose chain has a lost or corrupt blob are
/// dropped; if their record has an older or shorter sound result, that takes their place. A record is kept as a key
/// while something sound depends on it. Links and layers that lead nowhere are dropped. If an input has no alternative
/// left, its record is dropped, and every record that needs it. Sizes, media types and diff IDs are corrected from the
/// bytes. All other records answer the same lookups as before, and [`verify`](crate::verify) finds nothing wrong with
/// the result.
///
/// A loop is cut at links to records that cannot be reached from the roots without the link's own record: if such links
/// were added to a sound cache, exactly these are dropped. For other loops, and for loops among more than a thousand
/// records that all lead to each other, it cannot be determined which link is wrong: links are dropped until there is
/// no loop, and every record keeps an alternative for every input.
///
/// Nothing is written: export [`Repaired::manifest`]. [Repair](crate#repair) has an example.
///
/// # Errors
/// [`ErrorKind::NotFound`] if nothing sound is left, and the errors of `blobs` if a blob cannot be examined.
pub async fn repair(manifest: &CacheManifest, blobs: &dyn BlobProvider, options: RepairOptions) -> Result<Repaired> {
    repaired(manifest, Verdicts::look(manifest, blobs, options).await?)
}

/// Repairs as [`repair`] does, from the findings of [`verify`](crate::verify), without reading blobs. What could only
/// be mended from a blob's bytes is dropped; what is only a warning is kept.
///
/// # Errors
/// [`ErrorKind::NotFound`] when nothing sound is left.
pub fn repair_as_found(manifest: &CacheManifest, found: &BTreeMap<Digest, FindingCode>) -> Result<Repaired> {
    repaired(manifest, Verdicts::known(manifest, found))
}

fn repaired(manifest: &CacheManifest, verdicts: Verdicts) -> Result<Repaired> {
    let mut findings: Vec<Finding> = check(manifest).into_iter().filter(|finding| is_mended(finding.code)).collect();
    let known: Vec<(FindingCode, String)> =
        findings.iter().map(|finding| (finding.code, finding.object.clone())).collect();
    findings.extend(verdicts.findings().filter(|found| !known.contains(&(found.code, found.object.clone()))));
    let mut repaired = Repaired {
        manifest: manifest.clone(),
        findings,
        mended: verdicts.mended(),
        dropped: Vec::new(),
        dropped_records: Vec::new(),
    };
    if !repaired.is_changed() {
        return Ok(repaired);
    }
    let Salvaged { config, dropped, dropped_records } = salvage::salvage(manifest.config(), &verdicts);
    repaired.dropped = dropped;
    repaired.dropped_records = dropped_records;
    let damaged = CacheManifest::new(config, verdicts.into_sound());
    let mut chains = CacheChains::from_manifest(&damaged)?;
    chains.normalize();
    repaired.manifest = chains.to_manifest().with_form(manifest.form());
    if repaired.manifest.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no sound result is left in the cache"));
    }
    shrink(repaired)
}

/// A document that is too large for BuildKit is unsound too.
fn shrink(repaired: Repaired) -> Result<Repaired> {
    let limit = Limits::BUILDKIT_IMPORT;
    let is_too_large = |finding: &Finding| finding.code == FindingCode::ConfigTooLarge;
    if !repaired.findings.iter().any(is_too_large) {
        return Ok(repaired);
    }
    let optimized = optimize(&repaired.manifest, &OptimizeOptions::default().with_max_config_size(Some(limit)))?;
    let dropped = [repaired.dropped, optimized.dropped].concat();
    Ok(Repaired { manifest: optimized.manifest, dropped, ..repaired })
}

/// Whether a rewrite of the cache mends the finding.
fn is_mended(code: FindingCode) -> bool {
    !matches!(code, FindingCode::ConfigNearLimit | FindingCode::DiffIdUnchecked)
}

/// The digest that a finding about a blob names.
fn about(blob: &Digest) -> String {
    format!("blob {blob}")
}
