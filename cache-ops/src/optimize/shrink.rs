//! Dropping results until a config is small enough.

use cache_core::{CacheManifest, Error, ErrorKind, Result, Timestamp};

use super::{DroppedResult, rebuild, with_results};
use crate::index::{Index, has_result, links, result};

/// Drops as few results as possible, the oldest first, until config and manifest are at most `limit` bytes.
pub(super) fn shrink(manifest: CacheManifest, limit: u64) -> Result<(CacheManifest, Vec<DroppedResult>)> {
    if size(&manifest) <= limit {
        return Ok((manifest, Vec::new()));
    }
    let index = Index::new(&manifest)?;
    let oldest = oldest_first(&index);
    let without = |count: usize| {
        let mut wanted: Vec<bool> = index.records().iter().map(has_result).collect();
        oldest[..count].iter().for_each(|&n| wanted[n] = false);
        rebuild(with_results(index.config(), &index.order, &wanted), &manifest)
    };
    // Dropping `low` of them leaves too much, dropping `high` is enough.
    let (mut low, mut high) = (0, oldest.len().saturating_sub(1));
    let mut fitting = without(high)?;
    if size(&fitting) > limit {
        let error = Error::new(ErrorKind::LimitExceeded, "the newest result alone exceeds the limit");
        return Err(error.with("size", size(&fitting)).with("limit", limit));
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let tried = without(middle)?;
        if size(&tried) > limit {
            low = middle;
        } else {
            (high, fitting) = (middle, tried);
        }
    }
    let dropped = oldest[..high].iter().filter_map(|&n| dropped(&index, n)).collect();
    Ok((fitting, dropped))
}

/// The larger of the two documents that BuildKit reads.
fn size(manifest: &CacheManifest) -> u64 {
    let encoded = manifest.encode(None);
    encoded.config.descriptor.size.max(encoded.manifest.descriptor.size)
}

/// The records with a result in the order in which the results may go. Of the results
/// that the same build used last, the one further from the end of the build is first.
fn oldest_first(index: &Index) -> Vec<usize> {
    let records = index.records();
    let mut used: Vec<Option<Timestamp>> =
        records.iter().map(|record| result(record).map(|(_, created_at)| created_at)).collect();
    for &n in index.order.iter().rev() {
        for linked in links(&records[n], records.len()) {
            used[linked] = used[linked].max(used[n]);
        }
    }
    let mut places = vec![0; records.len()];
    index.order.iter().enumerate().for_each(|(place, &n)| places[n] = place);
    let mut oldest: Vec<usize> = (0..records.len()).filter(|&n| result(&records[n]).is_some()).collect();
    oldest.sort_by_key(|&n| (used[n], result(&records[n]).map(|(_, created_at)| created_at), places[n]));
    oldest
}

fn dropped(index: &Index, n: usize) -> Option<DroppedResult> {
    let record = index.records().get(n)?;
    let (layer, created_at) = result(record)?;
    let top = index.config().layers.get(layer).map(|layer| layer.blob);
    Some(DroppedResult { key: record.key.clone(), created_at, top })
}
