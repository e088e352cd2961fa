//! `optimize`: makes a cache smaller.

mod shrink;

use cache_core::model::Limits;
use cache_core::{CacheConfig, CacheKey, CacheManifest, Digest, Result, Timestamp};

use crate::index::{Index, has_result, keep_records, mark_above};

/// How [`optimize`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OptimizeOptions {
    /// The largest config, and the largest manifest around it, in bytes; no limit when absent.
    pub(crate) max_config_size: Option<u64>,
}

impl OptimizeOptions {
    /// The largest config that BuildKit imports from a registry or a directory: 1 MiB.
    #[must_use]
    pub fn importable() -> Self {
        Self { max_config_size: Some(Limits::BUILDKIT_IMPORT) }
    }

    /// Drops results, the oldest first, while the config or the manifest is larger than this.
    #[must_use]
    pub fn with_max_config_size(self, max_config_size: Option<u64>) -> Self {
        Self { max_config_size }
    }
}

/// How large a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSizes {
    /// Bytes of the config as it is, or would be, in a registry or a directory.
    pub config: u64,
    /// How many records there are.
    pub records: usize,
    /// How many results.
    pub results: usize,
    /// How many layers.
    pub layers: usize,
    /// How many blobs.
    pub blobs: usize,
    /// The bytes of the blobs, each counted once.
    pub bytes: u64,
}

impl CacheSizes {
    /// Measures a cache.
    #[must_use]
    pub fn of(manifest: &CacheManifest) -> Self {
        let config = manifest.config();
        Self {
            config: manifest.config_document().descriptor.size,
            records: config.records.len(),
            results: config.records.iter().map(|record| record.results.len() + record.chains.len()).sum(),
            layers: config.layers.len(),
            blobs: manifest.blobs().len(),
            bytes: manifest.unique_bytes(),
        }
    }
}

/// A result that is not in the new cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedResult {
    /// The key of its record.
    pub key: CacheKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// The blob of its top layer, if there is such a layer.
    pub top: Option<Digest>,
}

/// The outcome of [`optimize`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Optimized {
    /// The cache.
    pub manifest: CacheManifest,
    /// The sizes it had.
    pub before: CacheSizes,
    /// The sizes it has.
    pub after: CacheSizes,
    /// The results that were dropped to meet the limit, the oldest first.
    pub dropped: Vec<DroppedResult>,
}

impl Optimized {
    /// Whether the new config is another document than the old one.
    #[must_use]
    pub fn is_changed(&self, old: &CacheManifest) -> bool {
        self.manifest.config_document().descriptor.digest != old.config_document().descriptor.digest
    }
}

/// Merges equal records, and drops records that lead to no result and layers that no result needs. Every lookup that
/// led to a result still does, and to the newest one.
///
/// If that is not enough for [`OptimizeOptions::with_max_config_size`], results are dropped too, and with them the records
/// that led to nothing else. A result counts as no older than the newest result that needs it, so what the last build
/// used is dropped last, whenever it was made. [Optimize](crate#optimize) has an example.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) for a cache that BuildKit does not import,
/// and [`ErrorKind::LimitExceeded`](cache_core::ErrorKind::LimitExceeded) when a single result exceeds the limit.
pub fn optimize(manifest: &CacheManifest, options: &OptimizeOptions) -> Result<Optimized> {
    let before = CacheSizes::of(manifest);
    let index = Index::new(manifest)?;
    let is_wanted: Vec<bool> = index.records().iter().map(has_result).collect();
    let leading = with_results(index.config(), &index.order, &is_wanted);
    let whole = rebuild(leading, &index.manifest)?;
    let (manifest, dropped) = match options.max_config_size {
        Some(limit) => shrink::shrink(whole, limit)?,
        None => (whole, Vec::new()),
    };
    Ok(Optimized { before, after: CacheSizes::of(&manifest), manifest, dropped })
}

/// The records that lead to wanted results, and of results only the wanted ones.
fn with_results(config: &CacheConfig, order: &[usize], wanted: &[bool]) -> CacheConfig {
    let mut keep = wanted.to_vec();
    mark_above(&config.records, order, &mut keep);
    let mut reduced = keep_records(config, &keep);
    let kept = (0..keep.len()).filter(|&n| keep[n]);
    for (record, n) in reduced.records.iter_mut().zip(kept) {
        if !wanted[n] {
            record.results.clear();
        }
    }
    reduced
}

/// The normal manifest of a config that was made of that of `of`.
fn rebuild(config: CacheConfig, of: &CacheManifest) -> Result<CacheManifest> {
    let reduced = CacheManifest::new(config, of.blobs().iter().cloned());
    Ok(cache_core::CacheChains::from_manifest(&reduced)?.to_manifest().with_form(of.form()))
}
