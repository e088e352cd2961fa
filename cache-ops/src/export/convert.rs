//! Converts layers to another compression during an export.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheChains, CacheManifest, Compression, CompressionKind, Descriptor, Digest, Error,
    ErrorKind, Result, Side, annotation,
};
use cache_layers::{CodecPool, recompress, restore_annotations};
use futures_util::stream::TryStreamExt;

use super::source::Verified;
use super::spool::{Spool, Spooled};

/// Converts layers to another compression, as the attributes `compression`, `compression-level` and `force-compression`
/// do.
///
/// Existing layers are converted only by a forced compression; a copy has no other layers, so an unforced one does
/// nothing. A layer is converted once for all places that need it, and kept in a file until the copy ends. A layer that
/// cannot have the wanted compression is copied as it is ([`Event::Unconverted`](cache_core::Event::Unconverted)): a
/// tar with sparse files, or with entries that only some readers know, cannot become an eStargz.
///
/// The files are in the destination if it is on this machine ([`spool`](cache_core::CacheExporter::spool)), else in the
/// system's folder for temporary files. The folder needs room for all converted layers. The files are gone when the
/// copy ends, in whatever way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    compression: Compression,
    spool: Option<PathBuf>,
}

impl Conversion {
    /// Converts to `compression`.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self { compression, spool: None }
    }

    /// Stores converted layers in this directory, which has to exist.
    #[must_use]
    pub fn with_spool(self, spool: impl Into<PathBuf>) -> Self {
        Self { spool: Some(spool.into()), ..self }
    }

    /// What layers are converted to.
    #[must_use]
    pub fn compression(&self) -> &Compression {
        &self.compression
    }

    /// The directory for converted layers, if one was chosen.
    #[must_use]
    pub fn spool(&self) -> Option<&Path> {
        self.spool.as_deref()
    }

    /// Whether anything is converted at all.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.compression.is_forced()
    }

    /// Whether a layer is converted.
    ///
    /// An unforced compression converts nothing, and only layers are converted. A layer of the right kind is kept
    /// whatever its level, as in BuildKit. The annotation of a gzip layer tells whether it is an eStargz: object stores
    /// lose the annotation, and a copy from one restores it from the blob's footer first.
    #[must_use]
    pub fn converts(&self, blob: &Descriptor) -> bool {
        let Some(encoding) = blob.media_type.layer_encoding().filter(|_| self.is_forced()) else { return false };
        let kind = self.compression.kind();
        let is_estargz = blob.annotations.contains_key(annotation::ESTARGZ_TOC);
        encoding != kind.encoding() || is_estargz != (kind == CompressionKind::Estargz)
    }

    /// The layer to convert, with the annotations that it may have lost; `None` if it need not be converted.
    pub(super) async fn wants(&self, blob: &Descriptor, source: &dyn BlobProvider) -> Result<Option<Descriptor>> {
        if !self.is_forced() || blob.media_type.layer_encoding().is_none() {
            return Ok(None);
        }
        let known = restore_annotations(blob, source).await?;
        let is_wanted = [blob, &known].into_iter().any(|layer| self.converts(layer));
        Ok(is_wanted.then_some(known))
    }

    /// Converts `blob` into a file in the folder `dir`.
    pub(super) async fn run(&self, blob: &Descriptor, tools: &Tools<'_>, dir: &Path) -> Result<Outcome> {
        let bytes = tools.source.read(blob, None).await?;
        let layer = recompress(blob, bytes, &self.compression, tools.pool)?;
        match tools.spool.write(dir, layer).await {
            Ok(layer) => Ok(Outcome::Converted(Arc::new(layer))),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Outcome::AsItIs(error)),
            Err(error) if error.kind() == ErrorKind::InvalidManifest => {
                Err(unreadable(blob, tools.source, error).await)
            }
            Err(error) => Err(error),
        }
    }
}

/// The context of a conversion.
pub(super) struct Tools<'a> {
    pub(super) source: &'a dyn BlobProvider,
    pub(super) pool: &'a CodecPool,
    pub(super) spool: &'a Spool,
}

/// The outcome of a conversion.
pub(super) enum Outcome {
    /// The layer that takes the place of the old one.
    Converted(Arc<Spooled>),
    /// The layer cannot have that compression, and why.
    AsItIs(Error),
}

/// Tells for a layer that does not decompress whether its bytes are wrong or are not a layer.
async fn unreadable(blob: &Descriptor, source: &dyn BlobProvider, error: Error) -> Error {
    let read = async { source.read(blob, None).await?.try_for_each(|_| async { Ok(()) }).await };
    read.await.err().unwrap_or(error).on(Side::Source)
}

/// The layers that were converted, by the digests of those they were made of.
pub(super) type Converted = HashMap<Digest, Arc<Spooled>>;

/// The cache with its converted layers: the same records, with results that lead to the new blobs.
///
/// Layers that became equal are one.
pub(super) fn replace_layers(manifest: &CacheManifest, converted: &Converted) -> Result<CacheManifest> {
    let mut config = manifest.config().clone();
    for layer in &mut config.layers {
        if let Some(new) = converted.get(&layer.blob) {
            layer.blob = new.descriptor.digest;
        }
    }
    let descriptors = manifest.blobs().iter().map(|blob| match converted.get(&blob.digest) {
        Some(new) => Arc::new(new.descriptor.clone()),
        None => Arc::clone(blob),
    });
    let chains = CacheChains::from_manifest(&CacheManifest::new(config, descriptors))?;
    Ok(chains.to_manifest().with_form(manifest.form()))
}

/// The source, with the converted layers beside its own.
pub(super) struct WithConverted<'a> {
    source: &'a Verified<'a>,
    made: HashMap<Digest, Arc<Spooled>>,
}

impl<'a> WithConverted<'a> {
    pub(super) fn new(source: &'a Verified<'a>, converted: &Converted) -> Self {
        let made = converted.values().map(|layer| (layer.descriptor.digest, Arc::clone(layer))).collect();
        Self { source, made }
    }
}

#[async_trait]
impl BlobProvider for WithConverted<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        match self.made.get(&blob.digest) {
            Some(layer) => layer.stat(blob).await,
            None => self.source.stat(blob).await,
        }
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        match self.made.get(&blob.digest) {
            Some(layer) => Verified { inner: &**layer, pool: self.source.pool.clone() }.read(blob, range).await,
            None => self.source.read(blob, range).await,
        }
    }
}
