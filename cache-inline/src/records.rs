//! [`InlineRecords`]: the part of a cache whose layers are those of one image, as in BuildKit's `ExportForLayers`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cache_core::json::to_vec;
use cache_core::manifest::{CacheRecord, ChainResult, LayerResult, RecordLink, joining_record};
use cache_core::seams::Coverage;
use cache_core::{CacheChains, CacheConfig, CacheManifest, Descriptor, DiffId, Digest, Result, Timestamp, annotation};

/// A layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageLayer {
    /// The layer's blob, or its diff ID if the engine keeps layers unpacked, like dockerd.
    pub(crate) blob: Digest,
    /// The layer's diff ID, if it is known: it matches layers that the cache has in another compression.
    pub(crate) diff_id: Option<DiffId>,
}

impl ImageLayer {
    /// A layer by its blob.
    #[must_use]
    pub fn new(blob: Digest) -> Self {
        Self { blob, diff_id: None }
    }

    /// The layer's blob.
    #[must_use]
    pub fn blob(&self) -> &Digest {
        &self.blob
    }

    /// The layer's diff ID, if it is known.
    #[must_use]
    pub fn diff_id(&self) -> Option<DiffId> {
        self.diff_id
    }

    /// Adds the diff ID.
    #[must_use]
    pub fn with_diff_id(self, diff_id: DiffId) -> Self {
        Self { diff_id: Some(diff_id), ..self }
    }
}

/// The records of a cache whose results are in one image. Layer indices are those of the image's list of layers.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, CacheResult, Descriptor, Digest, MediaType, Timestamp};
/// use cache_inline::{ImageLayer, InlineRecords};
///
/// let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer"); let mut chains = CacheChains::new();
/// chains.add(CacheKey::content(Digest::sha256(b"COPY")), &[], vec![CacheResult::new(Timestamp::now(),
/// vec![layer.clone()])])?;
///
/// let image = [ImageLayer::new(layer.digest), ImageLayer::new(Digest::sha256(b"another"))];
/// let records = InlineRecords::of(&chains.to_manifest(), &image)?.expect("the image has the layer");
/// assert_eq!((records.coverage().covered, records.coverage().layers), (1, 2));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct InlineRecords {
    records: Vec<CacheRecord>,
    coverage: Coverage,
    origins: Vec<Origin>,
}

/// The origin of a layer of the image in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) description: String,
}

impl InlineRecords {
    /// Finds the records for an image with these layers, bottom first; `None` if the image contains no result.
    ///
    /// A blob of the cache is a layer of the image if both have the same digest or the same diff ID. Results that need
    /// other blobs are left out, and so are records that then lead to no result: those of other platforms or targets,
    /// which BuildKit never sees when it exports a single image. A result whose layers are the image's lowest ones in
    /// their order is written as the index of its top layer. Any other result is written as a list of layers, which has
    /// no place for its time.
    ///
    /// BuildKit loses a result without a time that consists of the lowest layer alone, because it looks like an empty
    /// list. Here it is kept, and every BuildKit reads it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) if the cache is not a sound graph.
    pub fn of(cache: &CacheManifest, layers: &[ImageLayer]) -> Result<Option<Self>> {
        let places = Places::new(cache, layers);
        let found: Vec<Arc<Descriptor>> =
            cache.blobs().iter().filter(|blob| places.by_blob.contains_key(&blob.digest)).map(Arc::clone).collect();
        let reduced = CacheManifest::new(cache.config().clone(), found.iter().map(Arc::clone));
        let reduced = CacheChains::from_manifest(&reduced)?.to_manifest();
        if reduced.is_empty() {
            return Ok(None);
        }
        let mut records = leading_to_results(&reduced.config().records);
        for record in &mut records {
            places.move_results(record, reduced.config());
        }
        records.extend(joining_record(&records));
        let coverage = Coverage { covered: covered(&records), layers: layers.len() };
        Ok(Some(Self { records, coverage, origins: places.origins(&found) }))
    }

    /// The records, as they are written into the image.
    #[must_use]
    pub fn records(&self) -> &[CacheRecord] {
        &self.records
    }

    /// How many of the image's layers a result needs.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The bytes that BuildKit puts into an image config, before base64.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_vec(&self.records).expect("records are plain data, which always encodes")
    }

    /// What the cache knows about each layer of the image.
    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }
}

/// The records with a result and those above them, in their order.
fn leading_to_results(records: &[CacheRecord]) -> Vec<CacheRecord> {
    let index = |link: &RecordLink| usize::try_from(link.link).ok().filter(|&index| index < records.len());
    let mut todo: Vec<usize> =
        (0..records.len()).filter(|&n| !records[n].results.is_empty() || !records[n].chains.is_empty()).collect();
    let mut is_kept = vec![false; records.len()];
    while let Some(record) = todo.pop() {
        if !std::mem::replace(&mut is_kept[record], true) {
            todo.extend(records[record].inputs.iter().flatten().filter_map(index));
        }
    }
    let count = |next: &mut usize, &is_kept: &bool| Some(std::mem::replace(next, *next + usize::from(is_kept)));
    let places: Vec<usize> = is_kept.iter().scan(0, count).collect();
    let mut left: Vec<CacheRecord> =
        records.iter().zip(is_kept).filter(|(_, is_kept)| *is_kept).map(|(record, _)| record.clone()).collect();
    for link in left.iter_mut().flat_map(|record| &mut record.inputs).flatten() {
        link.link = number(places[index(link).expect("an encoded graph has no dangling link")]);
    }
    left
}

/// Where in the image the blobs of a cache are.
struct Places {
    /// For each blob its places in order; never empty.
    by_blob: HashMap<Digest, Vec<usize>>,
    layers: usize,
}

impl Places {
    fn new(cache: &CacheManifest, layers: &[ImageLayer]) -> Self {
        let mut by_digest: HashMap<Digest, BTreeSet<usize>> = HashMap::new();
        for (place, layer) in layers.iter().enumerate() {
            for digest in [Some(layer.blob), layer.diff_id.map(|DiffId(digest)| digest)].into_iter().flatten() {
                by_digest.entry(digest).or_default().insert(place);
            }
        }
        let mut by_blob = HashMap::new();
        for blob in cache.blobs() {
            let digests = [Some(blob.digest), blob.diff_id().map(|DiffId(digest)| digest)];
            let places: BTreeSet<usize> =
                digests.iter().flatten().filter_map(|digest| by_digest.get(digest)).flatten().copied().collect();
            if !places.is_empty() {
                by_blob.insert(blob.digest, places.into_iter().collect());
            }
        }
        Self { by_blob, layers: layers.len() }
    }

    fn of(&self, blob: &Digest) -> &[usize] {
        self.by_blob.get(blob).map_or(&[], Vec::as_slice)
    }

    /// Turns the indices of a record's results from those of the config into places in the image.
    fn move_results(&self, record: &mut CacheRecord, config: &CacheConfig) {
        for result in std::mem::take(&mut record.results) {
            let blobs = chain(config, result.layer);
            if self.starts_with(&blobs) {
                record.results.push(LayerResult { layer: number(blobs.len() - 1), ..result });
            } else {
                // A blob that is at several places is meant at the last, as in BuildKit.
                let layers = blobs.iter().filter_map(|blob| self.of(blob).last()).map(|&place| number(place));
                record.chains.push(ChainResult { layers: layers.collect(), created_at: Timestamp::ZERO });
            }
        }
    }

    /// Whether the image's lowest layers are these, in this order.
    fn starts_with(&self, blobs: &[Digest]) -> bool {
        blobs.len() <= self.layers && blobs.iter().enumerate().all(|(place, blob)| self.of(blob).contains(&place))
    }

    fn origins(&self, found: &[Arc<Descriptor>]) -> Vec<Origin> {
        let mut origins = vec![Origin::default(); self.layers];
        for blob in found {
            let description = blob.annotations.get(annotation::DESCRIPTION).cloned().unwrap_or_default();
            for &place in self.of(&blob.digest) {
                origins[place] = Origin { created_at: blob.created_at(), description: description.clone() };
            }
        }
        origins
    }
}

/// The blobs of a layer and those below it, bottom first; the config is one that was just encoded, so it is sound.
fn chain(config: &CacheConfig, top: i64) -> Vec<Digest> {
    let layer = |index: i64| usize::try_from(index).ok().and_then(|index| config.layers.get(index));
    let down = std::iter::successors(layer(top), |below| layer(below.parent));
    let mut blobs: Vec<Digest> = down.map(|layer| layer.blob).collect();
    blobs.reverse();
    blobs
}

fn covered(records: &[CacheRecord]) -> usize {
    let mut places: BTreeSet<i64> = BTreeSet::new();
    let lowest = records.iter().flat_map(|record| &record.results).map(|result| result.layer + 1).max().unwrap_or(0);
    places.extend(0..lowest);
    places.extend(records.iter().flat_map(|record| &record.chains).flat_map(|chain| &chain.layers));
    places.len()
}

fn number(place: usize) -> i64 {
    i64::try_from(place).expect("an index into a vector fits")
}

#[cfg(test)]
mod tests;
