//! A cache that `explain` searches, and its content for the build.

use std::collections::{HashMap, HashSet};

use cache_core::graph::FindingCode;
use cache_core::model::Limits;
use cache_core::{CacheKey, CacheManifest, Digest, check};

use super::cause::{NotImported, NotStored};
use crate::index::{Index, result};

/// A cache to search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsultedCache<'a> {
    /// Its name in reports.
    pub(crate) name: String,
    /// The content that was found.
    pub(crate) content: Content<'a>,
    /// Whether the build imported it; other caches are only searched.
    pub(crate) is_imported: bool,
    /// Blobs that its store is known not to have.
    pub(crate) lost: HashSet<Digest>,
}

/// The content of the place of a cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Content<'a> {
    /// A cache.
    Cache(&'a CacheManifest),
    /// Nothing.
    Absent,
    /// Something that cannot be read.
    Unreadable(String),
}

impl<'a> ConsultedCache<'a> {
    /// A cache that the build imports.
    #[must_use]
    pub fn imported(name: impl Into<String>, content: Content<'a>) -> Self {
        Self { name: name.into(), content, is_imported: true, lost: HashSet::new() }
    }

    /// A cache that the build did not import.
    #[must_use]
    pub fn elsewhere(name: impl Into<String>, content: Content<'a>) -> Self {
        Self { is_imported: false, ..Self::imported(name, content) }
    }

    /// Sets which blobs its store does not have.
    #[must_use]
    pub fn with_lost(self, lost: HashSet<Digest>) -> Self {
        Self { lost, ..self }
    }
}

/// A cache with its index.
pub(super) struct Side<'a> {
    pub(super) cache: &'a ConsultedCache<'a>,
    /// `None` if there is no readable cache.
    pub(super) index: Option<Index>,
    /// Why BuildKit cannot import all of it.
    pub(super) problem: Option<NotImported>,
    by_key: HashMap<CacheKey, Vec<usize>>,
    /// The records whose only input is a root: copies onto nothing, and first steps on an image.
    pub(super) on_one_root: Vec<usize>,
    /// For each layer whether it or one below it is lost.
    is_lost: Vec<bool>,
    /// Why records of this cache have no result.
    pub(super) not_stored: NotStored,
}

/// What a cache has for a step, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holding {
    /// No record.
    None,
    /// A record without a result.
    Known,
    /// A result whose blobs are lost.
    Lost,
    /// A result.
    Stored,
}

impl<'a> Side<'a> {
    pub(super) fn new(cache: &'a ConsultedCache<'a>) -> Self {
        let (index, problem) = match &cache.content {
            Content::Absent => (None, Some(NotImported::Absent)),
            Content::Unreadable(why) => (None, Some(NotImported::Unreadable(why.clone()))),
            Content::Cache(manifest) => match Index::new(manifest) {
                Err(error) => (None, Some(NotImported::Unreadable(error.to_string()))),
                Ok(index) => (Some(index), problem(manifest)),
            },
        };
        let mut by_key: HashMap<CacheKey, Vec<usize>> = HashMap::new();
        for (n, record) in index.iter().flat_map(|index| index.records().iter().enumerate()) {
            by_key.entry(record.key.clone()).or_default().push(n);
        }
        let is_lost = index.as_ref().map_or(Vec::new(), |index| lost_layers(index, &cache.lost));
        let not_stored = match &cache.content {
            Content::Cache(manifest) if !manifest.inline_images().is_empty() => NotStored::Inline,
            _ => index.as_ref().map_or(NotStored::Dropped, not_stored),
        };
        let on_one_root = index.as_ref().map_or(Vec::new(), Index::on_one_root);
        Self { cache, index, problem, by_key, on_one_root, is_lost, not_stored }
    }

    /// The records with a key.
    pub(super) fn with_key(&self, key: &CacheKey) -> &[usize] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn holding(&self, records: &[usize]) -> Holding {
        records.iter().map(|&n| self.holding_of(n)).max().unwrap_or(Holding::None)
    }

    fn holding_of(&self, n: usize) -> Holding {
        let record = self.index.as_ref().and_then(|index| index.records().get(n));
        match record.and_then(result) {
            None => Holding::Known,
            Some((layer, _)) if self.is_lost.get(layer).copied().unwrap_or(false) => Holding::Lost,
            Some(_) => Holding::Stored,
        }
    }

    pub(super) fn key(&self, n: usize) -> CacheKey {
        let record = self.index.as_ref().and_then(|index| index.records().get(n));
        record.map(|record| record.key.clone()).unwrap_or_default()
    }

    /// The blobs of the records' results.
    pub(super) fn blobs(&self, records: &[usize]) -> Vec<Digest> {
        let Some(index) = &self.index else { return Vec::new() };
        let layers = &index.config().layers;
        let mut seen = HashSet::new();
        for &n in records {
            let mut at = index.records().get(n).and_then(result).map(|(layer, _)| layer);
            while let Some(layer) = at.filter(|&layer| layer < layers.len() && seen.insert(layer)) {
                at = usize::try_from(layers[layer].parent).ok();
            }
        }
        let mut blobs: Vec<Digest> = seen.into_iter().map(|layer| layers[layer].blob).collect();
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }

    pub(super) fn lost_blobs(&self, records: &[usize]) -> Vec<Digest> {
        let mut blobs = self.blobs(records);
        blobs.retain(|blob| self.cache.lost.contains(blob));
        blobs
    }
}

/// Why BuildKit could not import it.
fn problem(manifest: &CacheManifest) -> Option<NotImported> {
    let documents = [manifest.raw_config(), manifest.raw_manifest()].into_iter().flatten();
    let size = documents.map(|document| document.descriptor.size).max();
    // A small cache that is in no image has neither of the findings; to look for all of them takes as long as a decode.
    let is_checked = size.is_some_and(|size| size > Limits::BUILDKIT_IMPORT) || !manifest.inline_images().is_empty();
    let findings = if is_checked { check(manifest) } else { Vec::new() };
    if findings.iter().any(|finding| finding.code == FindingCode::ConfigTooLarge) {
        return Some(NotImported::TooLarge(size.unwrap_or(0)));
    }
    if let Some(finding) = findings.iter().find(|finding| finding.code == FindingCode::HistoryTooShort) {
        return Some(NotImported::Unreadable(finding.message.clone()));
    }
    manifest.split_leaves().map(NotImported::SeveralLeaves)
}

fn lost_layers(index: &Index, lost: &HashSet<Digest>) -> Vec<bool> {
    let layers = &index.config().layers;
    if lost.is_empty() {
        return Vec::new();
    }
    // A layer's parent may come after it, so a chain is walked up to the first known layer.
    let mut known: Vec<Option<bool>> = vec![None; layers.len()];
    for n in 0..layers.len() {
        let (mut path, mut at) = (Vec::new(), Some(n));
        while let Some(layer) = at.filter(|&layer| layer < layers.len() && known[layer].is_none()) {
            if path.len() > layers.len() {
                break;
            }
            path.push(layer);
            at = usize::try_from(layers[layer].parent).ok();
        }
        let mut is_lost = at.and_then(|layer| known.get(layer).copied().flatten()).unwrap_or(false);
        for layer in path.into_iter().rev() {
            is_lost |= lost.contains(&layers[layer].blob);
            known[layer] = Some(is_lost);
        }
    }
    known.into_iter().map(|known| known.unwrap_or(false)).collect()
}

/// Whether a cache was written with `mode=min`: only records on the way to its last results have results.
fn not_stored(index: &Index) -> NotStored {
    let records = index.records();
    let steps = records.iter().filter(|record| !record.inputs.is_empty()).count();
    let tops: Vec<usize> = (0..records.len()).filter(|&n| result(&records[n]).is_some() && is_top(index, n)).collect();
    let layers = &index.config().layers;
    let mut in_chain = vec![false; layers.len()];
    for &top in &tops {
        let mut at = result(&records[top]).map(|(layer, _)| layer);
        while let Some(layer) = at.filter(|&layer| layer < layers.len() && !in_chain[layer]) {
            in_chain[layer] = true;
            at = usize::try_from(layers[layer].parent).ok();
        }
    }
    let stored = records.iter().filter_map(result).count();
    // Where steps hang on the last results, results of theirs were dropped.
    let is_min = stored < steps
        && tops.iter().all(|&top| index.children[top].is_empty())
        && records.iter().filter_map(result).all(|(layer, _)| in_chain.get(layer).copied().unwrap_or(false));
    if is_min { NotStored::Min } else { NotStored::Dropped }
}

/// Whether no record below has a result.
fn is_top(index: &Index, n: usize) -> bool {
    !index.children[n].iter().any(|&child| result(&index.records()[child]).is_some())
}
