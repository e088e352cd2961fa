//! `buildcache.inspect/v1`: equal caches have equal documents.

use std::collections::BTreeMap;

use cache_core::manifest::{CacheRecord, InlineImage, ManifestForm};
use cache_core::{CacheKey, CacheManifest, DiffId, Digest, Finding, MediaType, Timestamp};
use serde::{Serialize, Serializer};

use crate::report::{BlobReport, FindingReport, digest_of};
use crate::text;

/// What is in a cache.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inspection<'a> {
    /// What this document is.
    schema: &'static str,
    /// `image-manifest`, `index`, `docker-list`, `inline`, or `flat` for an index without a manifest around it.
    pub(super) form: &'static str,
    #[serde(skip)]
    pub(super) digest: Option<Digest>,
    /// The manifest, where there is one.
    pub(super) manifest: Option<BlobReport>,
    /// The config, where there is one.
    pub(super) config: Option<BlobReport>,
    /// What there is in numbers.
    pub(super) totals: Totals,
    /// The media types of the blobs.
    pub(super) media_types: Vec<MediaTypeReport>,
    /// The layers.
    #[cfg_attr(test, schemars(with = "Vec<LayerReport>"))]
    pub(super) layers: Layers<'a>,
    /// The records.
    #[cfg_attr(test, schemars(with = "Vec<RecordReport>"))]
    pub(super) records: Records<'a>,
    /// The images that hold the records.
    pub(super) inline_images: Vec<InlineReport>,
    /// What is wrong, as far as that shows without reading blobs.
    pub(super) findings: Vec<FindingReport>,
    /// What to know about the cache.
    pub(super) notes: Vec<&'static str>,
    /// The command that draws the cache.
    #[serde(skip)]
    pub(super) report_command: Option<String>,
}

/// The numbers.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    /// How many layers there are.
    pub(super) layers: usize,
    /// How many blobs there are.
    pub(super) unique_blobs: usize,
    /// Every blob counted once.
    pub(super) unique_bytes: u64,
    /// Every layer counted, also where two share a blob.
    pub(super) total_bytes: u64,
    /// How many records there are.
    pub(super) records: usize,
    /// How many of them have no input.
    pub(super) roots: usize,
    /// How many of them have a result.
    pub(super) records_with_result: usize,
    /// Results that follow the parents of a layer.
    pub(super) results: usize,
    /// Results that list their layers.
    pub(super) chains: usize,
    /// When the oldest result was made.
    pub(super) oldest_result: Option<Timestamp>,
    /// When the newest result was made.
    pub(super) newest_result: Option<Timestamp>,
}

/// The blobs of one media type.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct MediaTypeReport {
    /// The media type.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) media_type: MediaType,
    /// How many blobs have it.
    pub(super) blobs: usize,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// The layers of a cache. Their reports are made one by one, since there may be a million.
#[derive(Debug)]
pub(super) struct Layers<'a>(&'a CacheManifest);

/// The records of a cache; their reports are made one by one as well.
#[derive(Debug)]
pub(super) struct Records<'a>(&'a [CacheRecord]);

/// One layer of the config, with what the manifest says about its blob.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerReport {
    /// Its place in this list.
    pub(super) index: usize,
    /// Its blob.
    pub(super) blob: Digest,
    /// -1 for none.
    pub(super) parent: i64,
    /// Its media type.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) media_type: Option<MediaType>,
    /// Its size in bytes.
    pub(super) size: Option<u64>,
    /// The digest of what it decompresses to.
    #[serde(rename = "diffID")]
    #[cfg_attr(test, schemars(with = "Option<cache_core::DiffId>"))]
    pub(super) diff_id: Option<DiffId>,
    /// When it was made.
    pub(super) created_at: Option<Timestamp>,
}

/// One record of the config.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordReport {
    /// Its place in this list.
    pub(super) index: usize,
    /// Its key.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) key: CacheKey,
    /// For each input its alternatives.
    pub(super) inputs: Vec<Vec<LinkReport>>,
    /// Results that follow the parents of a layer.
    pub(super) results: Vec<ResultReport>,
    /// Results that list their layers.
    pub(super) chains: Vec<ChainReport>,
}

/// One alternative of an input.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct LinkReport {
    /// The index of the record.
    link: i64,
    /// What of the result is taken.
    selector: String,
}

/// A result that follows the parents of a layer.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultReport {
    /// The index of the top layer.
    layer: i64,
    /// When it was made.
    created_at: Option<Timestamp>,
}

/// A result that lists its layers, bottom first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainReport {
    /// The indices of its layers, the lowest first.
    layers: Vec<i64>,
    /// When it was made.
    created_at: Option<Timestamp>,
}

/// An image that holds records.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct InlineReport {
    /// The manifest of the image.
    pub(super) manifest: Digest,
    /// How many layers it has.
    pub(super) layers: usize,
    /// How many entries its history has.
    pub(super) history: usize,
}

impl<'a> Inspection<'a> {
    pub(super) fn new(manifest: &'a CacheManifest, findings: &[Finding]) -> Self {
        Self {
            schema: "buildcache.inspect/v1",
            form: form(manifest),
            digest: digest_of(manifest),
            manifest: manifest.raw_manifest().map(|document| (&document.descriptor).into()),
            config: manifest.raw_config().map(|document| (&document.descriptor).into()),
            totals: Totals::of(manifest),
            media_types: media_types(manifest),
            layers: Layers(manifest),
            records: Records(&manifest.config().records),
            inline_images: manifest.inline_images().iter().map(InlineReport::from).collect(),
            findings: findings.iter().map(FindingReport::from).collect(),
            notes: notes(manifest),
            report_command: None,
        }
    }

    /// Sets the command that draws the cache.
    pub(super) fn with_report_command(self, command: String) -> Self {
        Self { report_command: Some(command), ..self }
    }
}

fn form(manifest: &CacheManifest) -> &'static str {
    match manifest.form() {
        Some(form) => form.name(),
        None if !manifest.inline_images().is_empty() => "inline",
        None => "flat",
    }
}

fn notes(manifest: &CacheManifest) -> Vec<&'static str> {
    let is_image_manifest = manifest.form() == Some(ManifestForm::ImageManifest);
    let old = is_image_manifest.then_some("BuildKit before v0.12 cannot read an image manifest");
    let joined = manifest.is_joined().then_some("one more record joins the leaves");
    old.into_iter().chain(joined).collect()
}

impl Totals {
    fn of(manifest: &CacheManifest) -> Self {
        let config = manifest.config();
        let sizes = config.layers.iter().filter_map(|layer| Some(manifest.descriptor(&layer.blob)?.size));
        let mut totals = Self {
            layers: config.layers.len(),
            unique_blobs: manifest.blobs().len(),
            unique_bytes: manifest.unique_bytes(),
            total_bytes: sizes.fold(0, u64::saturating_add),
            records: config.records.len(),
            ..Self::default()
        };
        config.records.iter().for_each(|record| totals.add(record));
        totals
    }

    fn add(&mut self, record: &CacheRecord) {
        self.roots += usize::from(record.inputs.is_empty());
        self.records_with_result += usize::from(!record.results.is_empty() || !record.chains.is_empty());
        self.results += record.results.len();
        self.chains += record.chains.len();
        let results = record.results.iter().map(|result| result.created_at);
        let times = results.chain(record.chains.iter().map(|chain| chain.created_at));
        for time in times.filter(|time| !time.is_zero()) {
            self.oldest_result = Some(self.oldest_result.map_or(time, |oldest| oldest.min(time)));
            self.newest_result = Some(self.newest_result.map_or(time, |newest| newest.max(time)));
        }
    }
}

fn media_types(manifest: &CacheManifest) -> Vec<MediaTypeReport> {
    let mut types: BTreeMap<&MediaType, (usize, u64)> = BTreeMap::new();
    for blob in manifest.blobs() {
        let (blobs, bytes) = types.entry(&blob.media_type).or_default();
        *blobs += 1;
        *bytes = bytes.saturating_add(blob.size);
    }
    let report = |(media_type, (blobs, bytes)): (&MediaType, _)| MediaTypeReport {
        media_type: media_type.clone(),
        blobs,
        bytes,
    };
    types.into_iter().map(report).collect()
}

impl Layers<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = LayerReport> {
        let layers = self.0.config().layers.iter().enumerate();
        layers.map(|(index, layer)| {
            let blob = self.0.descriptor(&layer.blob);
            LayerReport {
                index,
                blob: layer.blob,
                parent: layer.parent,
                media_type: blob.map(|blob| blob.media_type.clone()),
                size: blob.map(|blob| blob.size),
                diff_id: blob.and_then(|blob| blob.diff_id()),
                created_at: blob.and_then(|blob| blob.created_at()).and_then(text::known),
            }
        })
    }
}

impl Serialize for Layers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Records<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = RecordReport> {
        self.0.iter().enumerate().map(|(index, record)| RecordReport::new(index, record))
    }
}

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl RecordReport {
    fn new(index: usize, record: &CacheRecord) -> Self {
        let link =
            |link: &cache_core::manifest::RecordLink| LinkReport { link: link.link, selector: link.selector.clone() };
        Self {
            index,
            key: record.key.clone(),
            inputs: record.inputs.iter().map(|input| input.iter().map(link).collect()).collect(),
            results: record
                .results
                .iter()
                .map(|result| ResultReport { layer: result.layer, created_at: text::known(result.created_at) })
                .collect(),
            chains: record
                .chains
                .iter()
                .map(|chain| ChainReport { layers: chain.layers.clone(), created_at: text::known(chain.created_at) })
                .collect(),
        }
    }
}

impl From<&InlineImage> for InlineReport {
    fn from(image: &InlineImage) -> Self {
        Self { manifest: image.manifest, layers: image.layers, history: image.history }
    }
}

#[cfg(test)]
mod tests {
    use cache_core::CacheImporter as _;
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::{LAYERS, insert, time};

    #[tokio::test]
    async fn totals_count_each_blob_once_and_each_layer_too() {
        let store = MemoryCache::new();
        insert(&store, "latest", LAYERS).await;
        let manifest = store.resolve().await.unwrap().unwrap().manifest;
        let totals = Inspection::new(&manifest, &[]).totals;
        assert_eq!((totals.layers, totals.unique_blobs, totals.unique_bytes, totals.total_bytes), (4, 4, 15, 15));
        assert_eq!((totals.records, totals.roots, totals.records_with_result, totals.results), (5, 1, 4, 4));
        assert_eq!((totals.oldest_result, totals.newest_result), (Some(time(0)), Some(time(3))));
    }

    #[tokio::test]
    async fn equal_caches_have_equal_documents() {
        let (one, two) = (MemoryCache::new(), MemoryCache::new());
        let mut documents = Vec::new();
        for store in [one, two] {
            insert(&store, "latest", LAYERS).await;
            let manifest = store.resolve().await.unwrap().unwrap().manifest;
            documents.push(serde_json::to_string(&Inspection::new(&manifest, &[])).unwrap());
        }
        assert_eq!(documents[0], documents[1]);
    }
}
