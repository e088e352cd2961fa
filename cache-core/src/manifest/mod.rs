//! [`CacheManifest`]: a cache config with the descriptors of its blobs, to and from every form on the wire.

mod config;
mod flat;
mod form;
mod leaves;
mod oci;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt as _};

pub use self::config::{
    CacheConfig, CacheKey, CacheLayer, CacheRecord, ChainResult, LayerAnnotations, LayerResult, RecordLink,
};
pub use self::form::ManifestForm;
pub use self::leaves::joining_record;
pub(crate) use self::leaves::split_leaves;
pub(crate) use self::oci::{Parsed, Shape};
pub(crate) use self::wire::take_time;
use crate::error::Result;
use crate::json;
use crate::model::{Descriptor, Digest, Limits, MediaType, check_size};

/// A cache as it is stored: the config, and a descriptor for every blob.
///
/// A manifest that was read keeps its bytes, so that a copy can be the same to the byte.
#[derive(Debug, Clone)]
pub struct CacheManifest {
    config: CacheConfig,
    descriptors: Vec<Arc<Descriptor>>,
    by_digest: HashMap<Digest, usize>,
    raw: Option<Raw>,
    /// The form to write when none is asked for.
    form: Option<ManifestForm>,
    inline: Vec<InlineImage>,
    is_joined: bool,
    split_leaves: Option<usize>,
}

/// An image whose config held records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InlineImage {
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// How many layers the image has.
    pub layers: usize,
    /// How many of its history entries made a layer; fewer than layers crash BuildKit.
    pub history: usize,
    /// How many leaves its records have, if BuildKit v0.25 and later find only a part of them, another part each time.
    pub split_leaves: Option<usize>,
}

/// The bytes that a manifest was decoded from.
#[derive(Debug, Clone)]
struct Raw {
    config: Document,
    /// The manifest around the config; `None` if the config has no manifest.
    manifest: Option<(ManifestForm, Document)>,
}

/// A document and its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
}

/// A manifest ready to be written: the config first, then the document that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedManifest {
    /// The form of the document.
    pub form: ManifestForm,
    /// The cache config.
    pub config: Document,
    /// The document that names the config and the layers.
    pub manifest: Document,
}

impl EncodedManifest {
    /// The same documents, if they can be read back.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded) when one of them is too large for that.
    pub fn checked(self, limits: &Limits) -> Result<Self> {
        limits.check_config(self.config.descriptor.size)?;
        check_size("manifest", self.manifest.descriptor.size, limits.manifest)?;
        Ok(self)
    }
}

impl Document {
    /// Describes `bytes` and keeps them.
    #[must_use]
    pub fn new(media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

impl CacheManifest {
    /// Joins a config with the descriptors of its blobs; of two descriptors of one blob the last counts. A record that
    /// only joins the leaves is taken out of the config.
    #[must_use]
    pub fn new<D: Into<Arc<Descriptor>>>(mut config: CacheConfig, descriptors: impl IntoIterator<Item = D>) -> Self {
        let split_leaves = split_leaves(&config.records);
        let is_joined = leaves::part_leaves(&mut config.records);
        let descriptors = descriptors.into_iter();
        let (expected, _) = descriptors.size_hint();
        let mut manifest = Self {
            config,
            descriptors: Vec::with_capacity(expected),
            by_digest: HashMap::with_capacity(expected),
            raw: None,
            form: None,
            inline: Vec::new(),
            is_joined,
            split_leaves,
        };
        for descriptor in descriptors {
            let descriptor = descriptor.into();
            match manifest.by_digest.get(&descriptor.digest) {
                Some(&at) => manifest.descriptors[at] = descriptor,
                None => {
                    manifest.by_digest.insert(descriptor.digest, manifest.descriptors.len());
                    manifest.descriptors.push(descriptor);
                }
            }
        }
        manifest
    }

    /// Decodes the index document of s3, azblob and gha.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](crate::ErrorKind::InvalidManifest) for bad JSON and for a layer without
    /// annotations or diff ID, which BuildKit refuses too.
    pub fn decode_flat(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let mut manifest = flat::decode(&bytes)?;
        manifest.raw = Some(Raw { config: Document::new(MediaType::CACHE_CONFIG, bytes), manifest: None });
        Ok(manifest)
    }

    /// Encodes the index document of s3, azblob and gha. One that was read in this form keeps its bytes; any other gets
    /// a record that joins its leaves, if there are several.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`](crate::ErrorKind::InvalidManifest) for a layer whose descriptor or diff ID is
    /// missing.
    pub fn encode_flat(&self) -> Result<Bytes> {
        match &self.raw {
            Some(Raw { config, manifest: None }) => Ok(config.bytes.clone()),
            _ => flat::encode(self).map(Bytes::from),
        }
    }

    /// Encodes the documents for a registry or a directory.
    ///
    /// Without a `form`, a manifest that was read keeps its form and its bytes; any other gets the form of
    /// [`with_form`](Self::with_form), or BuildKit's default, the image manifest. With a form, the config's bytes are
    /// kept if they are known; any other config gets a record that joins its leaves, if there are several.
    #[must_use]
    pub fn encode(&self, form: Option<ManifestForm>) -> EncodedManifest {
        if let Some(kept) = self.kept(form) {
            return kept;
        }
        let form = form.or(self.form).unwrap_or(ManifestForm::ImageManifest);
        let config = self.config_document();
        let layers = self.config.layers.iter().filter_map(|layer| self.descriptor(&layer.blob));
        let layers: Vec<_> = layers.map(|layer| form.layer(layer)).collect();
        let written = oci::Written { form, config: &config.descriptor, layers: &layers };
        let bytes = json::to_vec(&written).expect("a manifest is plain data, which always encodes");
        let manifest = Document::new(form.media_type(), bytes);
        EncodedManifest { form, config, manifest }
    }

    /// Sets the documents that it was read from.
    pub(crate) fn with_documents(self, config: Document, form: ManifestForm, manifest: Document) -> Self {
        Self { raw: Some(Raw { config, manifest: Some((form, manifest)) }), ..self }
    }

    /// Sets the images whose inline records it was made of.
    pub(crate) fn with_inline_images(self, inline: Vec<InlineImage>) -> Self {
        Self { inline, ..self }
    }

    fn kept(&self, form: Option<ManifestForm>) -> Option<EncodedManifest> {
        let Raw { config, manifest } = self.raw.as_ref()?;
        let (kept, document) = manifest.as_ref()?;
        let is_asked_for = form.is_none_or(|form| form == *kept);
        is_asked_for.then(|| EncodedManifest { form: *kept, config: config.clone(), manifest: document.clone() })
    }

    /// The config of [`encode`](Self::encode): as read from a manifest, else encoded without the annotations that a
    /// manifest holds.
    #[must_use]
    pub fn config_document(&self) -> Document {
        match &self.raw {
            Some(Raw { config, manifest: Some(_) }) => config.clone(),
            _ => {
                let bare = |layer: &CacheLayer| CacheLayer { annotations: None, ..*layer };
                let layers = self.config.layers.iter().map(bare).collect();
                Document::new(MediaType::CACHE_CONFIG, wire::encode_joined(layers, &self.config.records))
            }
        }
    }

    /// The layers and records, without a record that only joins the leaves.
    #[must_use]
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// Whether the config it was made of had a record that joins its leaves.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// The number of leaves of the config that was read, if BuildKit v0.25 and later find only a part of it, a
    /// different part each time. A config that is encoded again is found completely.
    #[must_use]
    pub fn split_leaves(&self) -> Option<usize> {
        self.split_leaves.filter(|_| self.raw.is_some())
    }

    /// The config's bytes as they were read, without the manifest around them.
    #[must_use]
    pub fn raw_config(&self) -> Option<&Document> {
        self.raw.as_ref().map(|raw| &raw.config)
    }

    /// The manifest's bytes as they were read, if the config had a manifest.
    #[must_use]
    pub fn raw_manifest(&self) -> Option<&Document> {
        self.raw.as_ref().and_then(|raw| raw.manifest.as_ref()).map(|(_, document)| document)
    }

    /// The form it was read in, else that of [`with_form`](Self::with_form); none for a cache that had no manifest
    /// around its config.
    #[must_use]
    pub fn form(&self) -> Option<ManifestForm> {
        self.raw.as_ref().and_then(|raw| raw.manifest.as_ref()).map(|(form, _)| *form).or(self.form)
    }

    /// Sets the default form for a manifest that was not read from a document, for example the form of the cache that
    /// it was made from.
    #[must_use]
    pub fn with_form(self, form: Option<ManifestForm>) -> Self {
        Self { form, ..self }
    }

    /// The images whose inline records this manifest was made of; empty for any other cache.
    #[must_use]
    pub fn inline_images(&self) -> &[InlineImage] {
        &self.inline
    }

    /// The descriptor of a blob.
    #[must_use]
    pub fn descriptor(&self, blob: &Digest) -> Option<&Arc<Descriptor>> {
        self.by_digest.get(blob).map(|&at| &self.descriptors[at])
    }

    /// For each layer of the config, its position in [`blobs`](Self::blobs); `None` without a descriptor.
    pub(crate) fn places(&self) -> Vec<Option<usize>> {
        self.config.layers.iter().map(|layer| self.by_digest.get(&layer.blob).copied()).collect()
    }

    /// Every blob once, in the order of the manifest.
    #[must_use]
    pub fn blobs(&self) -> &[Arc<Descriptor>] {
        &self.descriptors
    }

    /// The unique bytes of all blobs, each counted once.
    #[must_use]
    pub fn unique_bytes(&self) -> u64 {
        self.descriptors.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }

    /// Whether it has no layers, so that BuildKit would not export it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config.layers.is_empty()
    }
}
