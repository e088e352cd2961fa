//! Findings: what is wrong with a cache, under stable codes, and which results it affects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::{HashMap, HashMapExt as _, HashSet};

use crate::graph::chains::closes_loop;
use crate::graph::repeated::Repeated;
use crate::graph::walk;
use crate::manifest::{CacheConfig, CacheKey, CacheManifest, CacheRecord, InlineImage, RecordLink};
use crate::model::{Descriptor, Digest, Limits, Timestamp, annotation};

/// The code of a finding. Codes are stable; this is their documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingCode {
    /// The manifest or the config cannot be decoded; BuildKit's import fails. `repair` cannot help: `rm` it.
    ConfigUnreadable,
    /// The config or manifest is over 1 MiB, in a registry or a directory; BuildKit's import fails.
    ConfigTooLarge,
    /// The config is within a tenth of 1 MiB (warning).
    ConfigNearLimit,
    /// A record links to one that does not exist; BuildKit's import fails.
    LinkOutOfRange,
    /// A record's links lead back to it; BuildKit's import fails.
    RecordLoop,
    /// An input has no alternative; BuildKit's import fails.
    InputEmpty,
    /// A record links to a random key, which is never stored; BuildKit's import fails.
    LinkToRandom,
    /// A result or a parent names a layer that does not exist; BuildKit's import fails.
    LayerOutOfRange,
    /// A layer's parents lead back to it; BuildKit's import fails.
    LayerLoop,
    /// BuildKit v0.25.0 and later find only a part of this cache, a different part each time, because several leaves
    /// share records (warning). `optimize` and `repair` write it so that all of it is found; a copy does not change it.
    SeveralLeaves,
    /// Equal records link to each other (warning). When newer BuildKit merges them on import, they may form a loop;
    /// `optimize` and `repair` write the cache so that they cannot.
    MergedLoop,
    /// A record stands in the config twice (warning).
    DuplicateRecord,
    /// A layer that no result needs (warning).
    UnusedLayer,
    /// No descriptor describes a layer's blob; BuildKit drops the results that need it.
    BlobUndescribed,
    /// A layer has no diff ID, or one that is not a digest; BuildKit cannot load it.
    DiffIdMissing,
    /// A layer's creation time cannot be read; BuildKit cannot load it.
    CreatedAtInvalid,
    /// BuildKit cannot extract layers of this media type; the build fails when the layer is used.
    MediaTypeUnknown,
    /// A layer has another compression than its media type says (warning). BuildKit and containerd detect the
    /// compression from the bytes, other readers use the media type; `repair` corrects it. Compressed bytes with OCI's
    /// media type of a plain tar are [`LayerUnreadable`](Self::LayerUnreadable).
    MediaTypeMismatch,
    /// The image's history covers fewer layers than it has; BuildKit crashes on import.
    HistoryTooShort,
    /// The store does not have the blob; the build fails when the layer is used.
    BlobMissing,
    /// The store has moved the blob to an archive, as lifecycle rules do; the build fails when the layer is used.
    BlobArchived,
    /// The stored blob has another size; the build fails when the layer is used.
    BlobSizeWrong,
    /// The blob's bytes do not match its digest; the build fails when the layer is used.
    BlobCorrupt,
    /// The blob does not decompress, or its media type has it read as a plain tar; the build fails when the layer is
    /// used.
    LayerUnreadable,
    /// The decompressed layer is not the one that its diff ID names; the build fails or uses wrong files.
    DiffIdWrong,
    /// The diff ID was not checked: this program was built without the codec (warning).
    DiffIdUnchecked,
}

impl FindingCode {
    /// The code's name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigUnreadable => "config-unreadable",
            Self::ConfigTooLarge => "config-too-large",
            Self::ConfigNearLimit => "config-near-limit",
            Self::LinkOutOfRange => "link-out-of-range",
            Self::RecordLoop => "record-loop",
            Self::InputEmpty => "input-empty",
            Self::LinkToRandom => "link-to-random",
            Self::LayerOutOfRange => "layer-out-of-range",
            Self::LayerLoop => "layer-loop",
            Self::SeveralLeaves => "several-leaves",
            Self::MergedLoop => "merged-loop",
            Self::DuplicateRecord => "duplicate-record",
            Self::UnusedLayer => "unused-layer",
            Self::BlobUndescribed => "blob-undescribed",
            Self::DiffIdMissing => "diff-id-missing",
            Self::CreatedAtInvalid => "created-at-invalid",
            Self::MediaTypeUnknown => "media-type-unknown",
            Self::MediaTypeMismatch => "media-type-mismatch",
            Self::HistoryTooShort => "history-too-short",
            Self::BlobMissing => "blob-missing",
            Self::BlobArchived => "blob-archived",
            Self::BlobSizeWrong => "blob-size-wrong",
            Self::BlobCorrupt => "blob-corrupt",
            Self::LayerUnreadable => "layer-unreadable",
            Self::DiffIdWrong => "diff-id-wrong",
            Self::DiffIdUnchecked => "diff-id-unchecked",
        }
    }

    /// Whether the cache is unsound; otherwise the finding is a warning.
    #[must_use]
    pub fn is_error(self) -> bool {
        !matches!(
            self,
            Self::ConfigNearLimit
                | Self::SeveralLeaves
                | Self::MergedLoop
                | Self::DuplicateRecord
                | Self::UnusedLayer
                | Self::DiffIdUnchecked
                | Self::MediaTypeMismatch
        )
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of finding.
    pub code: FindingCode,
    /// What it is about: a record, a layer, a blob, an image.
    pub object: String,
    /// What is wrong with it, in words.
    pub message: String,
    /// The records whose results cannot be used because of it.
    pub affected: AffectedRecords,
}

impl Finding {
    /// A finding that affects no result.
    #[must_use]
    pub fn new(code: FindingCode, object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, object: object.into(), message: message.into(), affected: AffectedRecords::default() }
    }
}

/// Records whose results cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AffectedRecords {
    /// Their keys, in the config's order; at most 100 are named.
    pub keys: Vec<CacheKey>,
    /// Whether there are more of them than are named.
    pub has_more: bool,
}

/// Checks everything that can be checked without reading a blob.
///
/// ```
/// use cache_core::{CacheConfig, CacheManifest, Descriptor, check};
///
/// let config = CacheConfig::decode(br#"{"layers":[],"records":[{"digest":"sha256:00","inputs":[[{"link":7}]]}]}"#)?;
/// let findings = check(&CacheManifest::new(config, Vec::<Descriptor>::new()));
/// assert_eq!(findings[0].code.as_str(), "link-out-of-range");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[must_use]
pub fn check(manifest: &CacheManifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_sizes(manifest));
    findings.extend(check_leaves(manifest));
    findings.extend(check_records(manifest.config()));
    findings.extend(check_loops(manifest));
    let places = manifest.places();
    findings.extend(check_layers(manifest, &places));
    findings.extend(check_descriptors(manifest, &places));
    findings.extend(manifest.inline_images().iter().filter(|image| image.history < image.layers).map(|image| {
        let message = format!("history covers {} of {} layers; BuildKit crashes on it", image.history, image.layers);
        Finding::new(FindingCode::HistoryTooShort, format!("image {}", image.manifest), message)
    }));
    findings
}

/// BuildKit imports no document over 1 MiB from a registry or a directory.
fn check_sizes(manifest: &CacheManifest) -> Vec<Finding> {
    let limit = Limits::BUILDKIT_IMPORT;
    let documents = [("config", manifest.raw_config()), ("manifest", manifest.raw_manifest())];
    let has_manifest = manifest.form().is_some();
    let sizes = documents.into_iter().filter_map(|(name, document)| Some((name, document?.descriptor.size)));
    sizes
        .filter(|_| has_manifest)
        .filter_map(|(name, size)| {
            let message = format!("{size} bytes of at most {limit} that BuildKit imports");
            match size {
                _ if size > limit => Some(Finding::new(FindingCode::ConfigTooLarge, name, message)),
                _ if size > limit / 10 * 9 => Some(Finding::new(FindingCode::ConfigNearLimit, name, message)),
                _ => None,
            }
        })
        .collect()
}

/// BuildKit walks a cache once from each leaf, and the later walks lose links to what the earlier ones have found.
fn check_leaves(manifest: &CacheManifest) -> impl Iterator<Item = Finding> {
    let config = manifest.split_leaves().map(|leaves| ("config".to_owned(), leaves));
    let image = |image: &InlineImage| Some((format!("image {}", image.manifest), image.split_leaves?));
    config.into_iter().chain(manifest.inline_images().iter().filter_map(image)).map(|(object, leaves)| {
        let message = format!("{leaves} leaves share records; BuildKit v0.25.0 and later find only a part of them");
        Finding::new(FindingCode::SeveralLeaves, object, message)
    })
}

/// Findings about the graph as a whole.
fn check_loops(manifest: &CacheManifest) -> Option<Finding> {
    let message = "equal records link to each other, and form a loop when they are merged";
    closes_loop(manifest).then(|| Finding::new(FindingCode::MergedLoop, "config", message))
}

fn check_records(config: &CacheConfig) -> Vec<Finding> {
    let records = &config.records;
    let mut findings = Vec::new();
    let twice = Repeated::new(records.iter(), |record| (&record.key, &record.inputs));
    let mut seen: HashMap<(&CacheKey, &Vec<Vec<RecordLink>>), usize> = HashMap::new();
    for (n, record) in records.iter().enumerate() {
        let object = || format!("record {n} {}", record.key);
        for (input, links) in record.inputs.iter().enumerate() {
            if links.is_empty() {
                let message = format!("input {input} has no alternative");
                findings.push(Finding::new(FindingCode::InputEmpty, object(), message));
            }
            for link in links {
                match usize::try_from(link.link).ok().and_then(|linked| records.get(linked)) {
                    None => {
                        let message =
                            format!("input {input} links to record {}, of {} there are", link.link, records.len());
                        findings.push(Finding::new(FindingCode::LinkOutOfRange, object(), message));
                    }
                    Some(linked) if linked.key.is_random() => {
                        let message = format!("input {input} links to {}", linked.key);
                        findings.push(Finding::new(FindingCode::LinkToRandom, object(), message));
                    }
                    Some(_) => {}
                }
            }
        }
        let what = (&record.key, &record.inputs);
        if let Some(first) = twice.may_have(&what).then(|| seen.insert(what, n)).flatten() {
            let message = format!("has the key and inputs of record {first}");
            findings.push(Finding::new(FindingCode::DuplicateRecord, object(), message));
        }
    }
    findings.extend(loops(records.len(), |n| links_of(&records[n])).into_iter().map(|n| {
        let object = format!("record {n} {}", records[n].key);
        Finding::new(FindingCode::RecordLoop, object, "its inputs lead back to it")
    }));
    findings
}

fn links_of(record: &CacheRecord) -> impl Iterator<Item = i64> {
    record.inputs.iter().flatten().map(|link| link.link)
}

fn check_layers(manifest: &CacheManifest, places: &[Option<usize>]) -> Vec<Finding> {
    let config = manifest.config();
    let layers = &config.layers;
    // Layers below one without a descriptor are not checked: the result is lost in any case.
    let is_described = |layer: usize| places[layer].is_some();
    let mut findings = Vec::new();
    let mut find = |layer: i64, object: &dyn Fn() -> String| {
        let found = usize::try_from(layer).ok().filter(|&layer| layer < layers.len());
        if found.is_none() {
            let message = format!("names layer {layer}, of {} there are", layers.len());
            findings.push(Finding::new(FindingCode::LayerOutOfRange, object(), message));
        }
        found
    };
    // The parents of a listed layer are not followed, so it does not matter what they are.
    let (mut listed, mut followed) = (vec![false; layers.len()], vec![false; layers.len()]);
    for (n, record) in config.records.iter().enumerate() {
        let object = || format!("record {n} {}", record.key);
        for chain in &record.chains {
            for &layer in &chain.layers {
                let Some(layer) = find(layer, &object) else { continue };
                listed[layer] = true;
                if !is_described(layer) {
                    break;
                }
            }
        }
        for result in &record.results {
            let mut next = find(result.layer, &object);
            while let Some(layer) = next.filter(|&layer| !std::mem::replace(&mut followed[layer], true)) {
                let parent = layers[layer].parent;
                let is_end = parent == -1 || !is_described(layer);
                next = if is_end { None } else { find(parent, &|| format!("layer {layer}")) };
            }
        }
    }
    let parent = |n: usize| Some(layers[n].parent).filter(|&parent| parent != -1 && is_described(n)).into_iter();
    let looping = loops(layers.len(), parent).into_iter().filter(|&n| followed[n]);
    findings.extend(
        looping.map(|n| Finding::new(FindingCode::LayerLoop, format!("layer {n}"), "its parents lead back to it")),
    );
    let is_image = !manifest.inline_images().is_empty();
    let unused = layers.iter().enumerate().filter(|(n, _)| !listed[*n] && !followed[*n] && !is_image);
    findings.extend(unused.map(|(n, layer)| {
        Finding::new(FindingCode::UnusedLayer, format!("layer {n} {}", layer.blob), "no result needs it")
    }));
    findings
}

/// The nodes at which a walk along `next` closes a loop, in order.
fn loops<I: Iterator<Item = i64>>(len: usize, next: impl Fn(usize) -> I) -> Vec<usize> {
    let mut found = walk(len, next).closing;
    found.sort_unstable();
    found.dedup();
    found
}

fn check_descriptors(manifest: &CacheManifest, places: &[Option<usize>]) -> Vec<Finding> {
    let mut wrong: BTreeMap<Digest, (FindingCode, String)> = BTreeMap::new();
    let mut is_named = vec![false; manifest.blobs().len()];
    for (layer, place) in manifest.config().layers.iter().zip(places) {
        match place {
            Some(place) => is_named[*place] = true,
            None => {
                let finding = (FindingCode::BlobUndescribed, "the manifest does not describe it".to_owned());
                wrong.insert(layer.blob, finding);
            }
        }
    }
    for (blob, _) in manifest.blobs().iter().zip(is_named).filter(|(_, is_named)| *is_named) {
        if let Some(finding) = check_descriptor(blob) {
            wrong.insert(blob.digest, finding);
        }
    }
    if wrong.is_empty() {
        return Vec::new();
    }
    let affected = Affected::new(manifest.config());
    let finding = |(blob, (code, message)): (Digest, (FindingCode, String))| {
        let affected = affected.by(&blob);
        Finding { affected, ..Finding::new(code, format!("blob {blob}"), message) }
    };
    wrong.into_iter().map(finding).collect()
}

fn check_descriptor(blob: &Descriptor) -> Option<(FindingCode, String)> {
    if blob.diff_id().is_none() {
        let message = match blob.annotations.get(annotation::UNCOMPRESSED) {
            Some(text) => format!("its annotation {} is not a digest: {text:?}", annotation::UNCOMPRESSED),
            None => format!("it has no annotation {}", annotation::UNCOMPRESSED),
        };
        return Some((FindingCode::DiffIdMissing, message));
    }
    let created = blob.annotations.get(annotation::CREATED_AT);
    if let Some(text) = created.filter(|text| text.parse::<Timestamp>().is_err()) {
        let message = format!("its annotation {} is not a time: {text:?}", annotation::CREATED_AT);
        return Some((FindingCode::CreatedAtInvalid, message));
    }
    let is_unknown = blob.media_type.layer_encoding().is_none();
    is_unknown.then(|| (FindingCode::MediaTypeUnknown, format!("its media type is {:?}", blob.media_type.as_str())))
}

/// How many affected records a finding names, and how many layers are followed to find them, for one finding and for all: a
/// config in which every blob is lost must not take the square of its size.
const AFFECTED: usize = 100;
const FOLLOWED: usize = 10_000;
const FOLLOWED_IN_ALL: usize = 1_000_000;

/// Which results need a blob.
pub struct Affected<'a> {
    config: &'a CacheConfig,
    children: HashMap<i64, Vec<usize>>,
    by_blob: HashMap<Digest, Vec<usize>>,
    results: HashMap<usize, Vec<usize>>,
    /// The records whose explicit chains hold a layer.
    chains: HashMap<usize, Vec<usize>>,
    /// How many layers may still be followed.
    left: AtomicUsize,
}

impl<'a> Affected<'a> {
    /// Indexes a cache's config, to look blobs up.
    #[must_use]
    pub fn new(config: &'a CacheConfig) -> Self {
        let mut affected = Self {
            config,
            children: HashMap::new(),
            by_blob: HashMap::new(),
            results: HashMap::new(),
            chains: HashMap::new(),
            left: AtomicUsize::new(FOLLOWED_IN_ALL),
        };
        for (n, layer) in config.layers.iter().enumerate() {
            affected.children.entry(layer.parent).or_default().push(n);
            affected.by_blob.entry(layer.blob).or_default().push(n);
        }
        for (n, record) in config.records.iter().enumerate() {
            for layer in record.results.iter().filter_map(|result| usize::try_from(result.layer).ok()) {
                affected.results.entry(layer).or_default().push(n);
            }
            let listed = record.chains.iter().flat_map(|chain| &chain.layers);
            for layer in listed.filter_map(|&layer| usize::try_from(layer).ok()) {
                affected.chains.entry(layer).or_default().push(n);
            }
        }
        affected
    }

    /// The records that have a result with `blob` in its chain. After very many calls, fewer records are named.
    #[must_use]
    pub fn by(&self, blob: &Digest) -> AffectedRecords {
        let own = self.by_blob.get(blob).map_or(&[][..], Vec::as_slice);
        let most = FOLLOWED.min(self.left.load(Ordering::Relaxed));
        let mut records: BTreeSet<usize> =
            own.iter().filter_map(|layer| self.chains.get(layer)).flatten().take(AFFECTED + 1).copied().collect();
        let mut seen: HashSet<usize> = own.iter().take(most).copied().collect();
        let mut todo: Vec<usize> = seen.iter().copied().collect();
        while let Some(layer) = todo.pop() {
            records.extend(self.results.get(&layer).into_iter().flatten().take(AFFECTED + 1));
            if records.len() > AFFECTED || seen.len() >= most {
                break;
            }
            let above = i64::try_from(layer).ok().and_then(|layer| self.children.get(&layer));
            todo.extend(above.into_iter().flatten().filter(|&&child| seen.insert(child)));
        }
        let has_more = records.len() > AFFECTED || seen.len() >= most;
        self.left.store(self.left.load(Ordering::Relaxed).saturating_sub(seen.len()), Ordering::Relaxed);
        let keys = records.into_iter().take(AFFECTED).map(|n| self.config.records[n].key.clone()).collect();
        AffectedRecords { keys, has_more }
    }
}

#[cfg(test)]
mod tests;
