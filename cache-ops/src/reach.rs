//! [`Reach`]: the blobs that a cache in a store needs. A prune deletes none of these.
//!
//! It follows the descriptors in manifests, so that an image without a cache keeps its blobs too, and so does a cache
//! whose config does not decode.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use cache_core::json::JsonObject;
use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::seams::CacheEntry;
use cache_core::{
    BlobProvider, CacheImporter, CacheManifest, CacheStore, Descriptor, Digest, Error, ErrorKind, MediaType, Result,
    read_all,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::listed::{is_of_content, read_listed};

/// Blobs and their sizes, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach(BTreeMap<Digest, u64>);

impl Reach {
    /// What one cache of a store reaches: its documents and every blob that they name. Layers are not read.
    ///
    /// # Errors
    /// If a manifest cannot be read, since it is then unknown what it reaches.
    pub async fn of_entry(store: &dyn CacheStore, entry: &CacheEntry) -> Result<Self> {
        Self::of_opened(entry, &*store.open(entry).await?).await
    }

    /// As [`of_entry`](Self::of_entry), of an entry that was opened.
    pub(crate) async fn of_opened(entry: &CacheEntry, importer: &dyn CacheImporter) -> Result<Self> {
        if let Some(manifest) = &entry.descriptor {
            return Self::of_listed(manifest, importer).await;
        }
        match importer.resolve().await? {
            Some(resolved) => Self::of_manifest(&resolved.manifest, importer).await,
            None => Ok(Self::default()),
        }
    }

    /// What a cache reaches that has been read already.
    ///
    /// # Errors
    /// As [`of_entry`](Self::of_entry).
    pub async fn of_manifest(manifest: &CacheManifest, blobs: &dyn BlobProvider) -> Result<Self> {
        let mut reach = Self::default();
        let documents = [manifest.raw_manifest(), manifest.raw_config()];
        documents.into_iter().flatten().for_each(|document| reach.add(&document.descriptor));
        manifest.blobs().iter().for_each(|blob| reach.add(blob));
        for image in manifest.inline_images() {
            let unsized_image = Descriptor::new(MediaType::OCI_MANIFEST, image.manifest, 0);
            if let Some(found) = blobs.stat(&unsized_image).await? {
                let image = Descriptor { size: found.size, ..unsized_image };
                reach.extend(&of_document(image, blobs).await?);
            }
        }
        Ok(reach)
    }

    /// What a manifest reaches that a store has listed; BuildKit takes the size of the blob, whatever the entry says.
    pub(crate) async fn of_listed(manifest: &Descriptor, blobs: &dyn CacheImporter) -> Result<Self> {
        let Some(document) = read_listed(blobs, manifest).await? else {
            return Err(Error::new(ErrorKind::NotFound, "the manifest does not exist").with("blob", manifest.digest));
        };
        Self::of_read(&document, blobs).await
    }

    /// What a manifest reaches that was read already.
    pub(crate) async fn of_read(manifest: &Document, blobs: &dyn BlobProvider) -> Result<Self> {
        of_tree(manifest.descriptor.clone(), Some(manifest.bytes.clone()), blobs).await
    }

    /// Adds one blob.
    pub fn add(&mut self, blob: &Descriptor) {
        self.0.insert(blob.digest, blob.size);
    }

    /// Adds a blob of unknown size, which counts as none.
    fn add_unsized(&mut self, blob: Digest) {
        self.0.entry(blob).or_default();
    }

    /// Adds everything that `other` has.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The blobs for which `is_kept` is true.
    pub(crate) fn filtered(&self, is_kept: impl Fn(&Digest) -> bool) -> Self {
        let kept = self.0.iter().filter(|(blob, _)| is_kept(blob));
        Self(kept.map(|(blob, size)| (*blob, *size)).collect())
    }

    /// Whether the blob is reached.
    #[must_use]
    pub fn contains(&self, blob: &Digest) -> bool {
        self.0.contains_key(blob)
    }

    /// The blobs with their sizes, in order of digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.0.iter().map(|(blob, size)| (blob, *size))
    }

    /// The bytes of all blobs together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.values().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

async fn of_document(root: Descriptor, blobs: &dyn BlobProvider) -> Result<Reach> {
    of_tree(root, None, blobs).await
}

/// Everything below a manifest or an index of manifests, itself included; configs and layers are not opened.
async fn of_tree(root: Descriptor, mut read: Option<Bytes>, blobs: &dyn BlobProvider) -> Result<Reach> {
    let limits = Limits::default();
    let mut reach = Reach::default();
    let mut opened = HashSet::new();
    let mut todo = vec![(root, Kind::Manifest)];
    while let Some((blob, kind)) = todo.pop() {
        reach.add(&blob);
        if kind == Kind::Leaf || !opened.insert((blob.digest, kind)) {
            continue;
        }
        if opened.len() > limits.images {
            let error = Error::new(ErrorKind::LimitExceeded, "index names too many manifests");
            return Err(error.with("limit", limits.images));
        }
        // The root is the first.
        let is_root = opened.len() == 1;
        let bytes = match (read.take(), kind) {
            (Some(bytes), _) => bytes,
            (None, Kind::Unknown) => match read_unknown(&blob, blobs, limits.manifest).await? {
                Some(bytes) => bytes,
                None => continue,
            },
            (None, _) => match read_all(blobs, &blob, limits.manifest).await {
                // A layout may hold only some platforms of an image; an absent manifest reaches nothing.
                Err(error) if error.kind() == ErrorKind::NotFound && !is_root => continue,
                bytes => bytes?,
            },
        };
        match children_by_list(&bytes) {
            Ok(children) if children.is_empty() => digests(&bytes).iter().for_each(|digest| reach.add_unsized(*digest)),
            Ok(children) => todo.extend(with_kinds(children)),
            Err(_) if kind == Kind::Unknown => {}
            Err(error) => return Err(error.with("blob", blob.digest)),
        }
    }
    Ok(reach)
}

/// Reads a blob that need not be a document; `None` if it is absent or too large for one.
async fn read_unknown(blob: &Descriptor, blobs: &dyn BlobProvider, limit: u64) -> Result<Option<Bytes>> {
    let Some(found) = blobs.stat(blob).await? else { return Ok(None) };
    match read_all(blobs, &Descriptor { size: found.size, ..blob.clone() }, limit).await {
        // A damaged blob does not say what it is.
        Err(error) if is_of_content(&error) && error.kind() != ErrorKind::DigestMismatch => Ok(None),
        read => read.map(Some),
    }
}

/// Whether a blob may have children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Manifest,
    /// It is listed among manifests, with an unknown media type.
    Unknown,
    Leaf,
}

/// An index that BuildKit writes lists the config and the layers of a cache, which may be of any type.
fn with_kinds(children: Vec<(&'static str, Descriptor)>) -> impl Iterator<Item = (Descriptor, Kind)> {
    let is_of_cache = children.iter().any(|(_, child)| child.media_type == MediaType::CACHE_CONFIG);
    children.into_iter().map(move |(list, child)| {
        let media_type = &child.media_type;
        let kind = match list {
            _ if media_type.is_empty() || media_type.is_manifest() => Kind::Manifest,
            MANIFESTS if !is_of_cache && media_type.layer_encoding().is_none() => Kind::Unknown,
            _ => Kind::Leaf,
        };
        (child, kind)
    })
}

/// Every digest in a document of a form that is unknown here, such as Docker's first one.
fn digests(document: &[u8]) -> Vec<Digest> {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let (mut found, mut todo) = (Vec::new(), vec![&document]);
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => found.extend(text.parse::<Digest>().ok()),
            Value::Array(values) => todo.extend(values),
            Value::Object(fields) => todo.extend(fields.values()),
            _ => {}
        }
    }
    found
}

/// The list of an index.
const MANIFESTS: &str = "manifests";

/// The descriptors in a manifest or an index; keys match as in BuildKit.
pub(crate) fn children(bytes: &[u8]) -> Result<Vec<Descriptor>> {
    Ok(children_by_list(bytes)?.into_iter().map(|(_, child)| child).collect())
}

/// The same, each with the name of the field.
fn children_by_list(bytes: &[u8]) -> Result<Vec<(&'static str, Descriptor)>> {
    let document = JsonObject::decode(bytes)?;
    let values = |name: &'static str| {
        let values = document.values(name).map(RawValue::get).filter(|value| *value != "null");
        values.map(move |value| (name, value))
    };
    let unreadable = |error: serde_json::Error| {
        Error::new(ErrorKind::InvalidManifest, "manifest is unreadable").with("at", &error).with_source(error)
    };
    let mut children = Vec::new();
    // An artifact manifest, which OCI has given up again, has `blobs`.
    for (name, list) in ["layers", MANIFESTS, "blobs"].into_iter().flat_map(values) {
        let listed: Vec<Descriptor> = serde_json::from_str(list).map_err(unreadable)?;
        children.extend(listed.into_iter().map(|child| (name, child)));
    }
    for (name, one) in ["config", "subject"].into_iter().flat_map(values).filter(|(_, value)| !is_empty(value)) {
        children.push((name, serde_json::from_str(one).map_err(unreadable)?));
    }
    Ok(children)
}

/// Whether a JSON object has no fields.
fn is_empty(object: &str) -> bool {
    object.strip_prefix('{').is_some_and(|fields| fields.trim_start().starts_with('}'))
}

#[cfg(test)]
mod tests {
    use cache_core::manifest::Document;
    use cache_memory::MemoryCache;

    use super::*;
    use crate::Reached;

    fn layer(content: &str) -> Descriptor {
        Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
    }

    fn json(descriptor: &Descriptor) -> String {
        serde_json::to_string(descriptor).unwrap()
    }

    #[tokio::test]
    async fn an_index_of_images_is_followed_and_keys_match_in_any_case() {
        let store = MemoryCache::new();
        let (config, leaf) = (layer("config"), layer("leaf"));
        let image = format!(r#"{{"Config":{},"LAYERS":[{}]}}"#, json(&config), json(&leaf));
        let image = Document::new(MediaType::OCI_MANIFEST, image);
        let index = format!(r#"{{"manifests":[{}],"config":null}}"#, json(&image.descriptor));
        let index = Document::new(MediaType::OCI_INDEX, index);
        let _ = (store.insert(image.bytes), store.insert(index.bytes));
        let reach = of_document(index.descriptor, &store).await.unwrap();
        assert!([image.descriptor.digest, config.digest, leaf.digest].iter().all(|blob| reach.contains(blob)));
        assert_eq!(reach.iter().count(), 4);
    }

    #[tokio::test]
    async fn a_child_of_an_index_is_followed_whatever_its_media_type() {
        let store = MemoryCache::new();
        let leaf = layer("leaf");
        let image =
            Document::new("application/json; charset=utf-8".into(), format!(r#"{{"layers":[{}]}}"#, json(&leaf)));
        let text = Document::new("text/plain".into(), "{");
        let unsized_image = Descriptor { size: 0, ..image.descriptor.clone() };
        let children = [&unsized_image, &text.descriptor].map(json).join(",");
        let index = Document::new(MediaType::OCI_INDEX, format!(r#"{{"manifests":[{children}]}}"#));
        let _ = [image.bytes, text.bytes, index.bytes].map(|bytes| store.insert(bytes));
        let reach = of_document(index.descriptor, &store).await.unwrap();
        assert!(reach.contains(&leaf.digest), "{reach:?}");
        assert_eq!(reach.iter().count(), 4);
    }

    #[tokio::test]
    async fn no_layer_is_read_as_a_document() {
        let store = MemoryCache::new();
        let odd = |n: usize| Descriptor { media_type: "application/x-own".into(), ..layer(&n.to_string()) };
        let layers: Vec<String> = (0..=Limits::default().images).map(|n| json(&odd(n))).collect();
        let config = json(&Descriptor::of(MediaType::CACHE_CONFIG, b"config"));
        let large = Document::new("application/x-own".into(), " ".repeat(5 << 20));
        let (cache, count) = (format!("{config},{}", layers.join(",")), layers.len() + 2);
        for (children, count) in [(cache, count), (json(&large.descriptor), 2)] {
            let index = Document::new(MediaType::OCI_INDEX, format!(r#"{{"manifests":[{children}]}}"#));
            let _ = [large.bytes.clone(), index.bytes].map(|bytes| store.insert(bytes));
            assert_eq!(of_document(index.descriptor, &store).await.unwrap().iter().count(), count);
        }
    }

    #[tokio::test]
    async fn a_document_of_an_unknown_form_keeps_every_digest_in_it() {
        let store = MemoryCache::new();
        let leaf = layer("leaf").digest;
        let document = Document::new(MediaType::default(), format!(r#"{{"fsLayers":[{{"blobSum":"{leaf}"}}]}}"#));
        let _ = store.insert(document.bytes);
        assert!(of_document(document.descriptor, &store).await.unwrap().contains(&leaf));
    }

    #[tokio::test]
    async fn a_damaged_child_of_an_unknown_media_type_is_an_error() {
        let store = MemoryCache::new();
        let child = Document::new("application/x-own".into(), "{}");
        let index = Document::new(MediaType::OCI_INDEX, format!(r#"{{"manifests":[{}]}}"#, json(&child.descriptor)));
        let _ = [child.bytes, index.bytes].map(|bytes| store.insert(bytes));
        store.overwrite(child.descriptor.digest, "x");
        let error = of_document(index.descriptor, &store).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    }

    #[tokio::test]
    async fn a_missing_document_or_an_invalid_manifest_is_an_error() {
        let store = MemoryCache::new();
        let gone = Descriptor::of(MediaType::OCI_MANIFEST, b"gone");
        assert_eq!(of_document(gone, &store).await.unwrap_err().kind(), ErrorKind::NotFound);
        let broken = Document::new(MediaType::OCI_MANIFEST, "{");
        let _ = store.insert(broken.bytes);
        assert_eq!(of_document(broken.descriptor, &store).await.unwrap_err().kind(), ErrorKind::InvalidManifest);
    }

    #[tokio::test]
    async fn a_missing_platform_reaches_nothing() {
        let store = MemoryCache::new();
        let gone = Descriptor::of(MediaType::OCI_MANIFEST, b"gone");
        let index = Document::new(MediaType::OCI_INDEX, format!(r#"{{"manifests":[{}]}}"#, json(&gone)));
        let _ = store.insert(index.bytes);
        assert_eq!(of_document(index.descriptor, &store).await.unwrap().iter().count(), 2);
    }

    #[test]
    fn keys_fold_as_in_go_and_an_empty_config_and_a_null_list_name_nothing() {
        let found = children(br#"{"config":{ },"layers":null,"subject":null,"manifests":[],"other":[1]}"#).unwrap();
        assert_eq!(found, []);
        let leaf = json(&layer("leaf"));
        for named in [
            format!(r#"{{"layer\u017f":[{leaf}]}}"#),
            format!(r#"{{"LAYERS":[{leaf}],"layers":null}}"#),
            format!(r#"{{"blobs":[{leaf}]}}"#),
        ] {
            assert_eq!(children(named.as_bytes()).unwrap(), [layer("leaf")], "{named}");
        }
        for wrong in
            [r#"{"layers":[null]}"#, r#"{"layers":"x"}"#, r#"{"config":1}"#, r#"{"config":{"size":1}}"#, "null"]
        {
            assert_eq!(children(wrong.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidManifest, "{wrong}");
        }
    }

    #[test]
    fn each_blob_counts_once() {
        let (mut one, mut other) = (Reach::default(), Reach::default());
        ["a", "bb"].iter().for_each(|content| one.add(&layer(content)));
        ["bb", "cccc"].iter().for_each(|content| other.add(&layer(content)));
        let mut others = Reached::default();
        others.add(&other);
        assert_eq!((one.bytes(), one.outside(&others).bytes()), (3, 1));
        one.extend(&other);
        assert_eq!((one.bytes(), one.iter().count()), (7, 3));
    }
}
