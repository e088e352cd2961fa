//! [`InlineExporter`]: writes a cache into an image.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::seams::{Committed, Contributions, Coverage, ExporterFacts, ImageStore};
use cache_core::{
    BlobProvider, CacheExporter, CacheManifest, Descriptor, ErrorKind, Expect, Progress, Pushed, Result, Version,
};
use tokio::sync::OnceCell;

use crate::error::inline;
use crate::image::{Image, Tree};
use crate::{InlineRecords, embed};

/// An image into which caches are written.
///
/// * Nothing is pushed: an inline cache uses the layers of the image, and results that need other layers are left out.
/// * A commit replaces the records of each platform's image by those that lead to its layers. A platform without a
///   matching result is not changed, and neither are attestations, which still name the old image.
/// * An image with a changed config has a new digest. An image that has the records already is not changed.
/// * The tag is moved to the new image only if it still points to the one that was read: even `Expect::Any` does not
///   replace an image that was pushed meanwhile.
/// * If no image has a layer of the cache, the error is BuildKit's, `failed to match any cache with layers`, and
///   nothing is written.
pub struct InlineExporter {
    image: Box<dyn ImageStore>,
    limits: Limits,
    /// The image, read when it is first needed.
    found: OnceCell<(Tree, Version)>,
}

impl InlineExporter {
    /// An exporter into `image`; nothing is read before the first call.
    #[must_use]
    pub fn new(image: Box<dyn ImageStore>) -> Self {
        Self { image, limits: Limits::default(), found: OnceCell::new() }
    }

    /// Sets the largest documents that are read; an image config counts as a config.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    async fn found(&self) -> Result<&(Tree, Version)> {
        let load = || async {
            let root = self.image.root().await?;
            let (root, version) =
                root.ok_or_else(|| inline(ErrorKind::NotFound, "there is no image to write the cache into"))?;
            let tree = Tree::load(&*self.image, root, &self.limits).await?;
            if tree.images().next().is_none() {
                return Err(inline(ErrorKind::InvalidManifest, "this is not an image with layers"));
            }
            Ok((tree, version))
        };
        self.found.get_or_try_init(load).await
    }

    async fn write(&self, root: &Document, below: &[Document], found: &Version) -> Result<Version> {
        for document in below {
            self.image.put(document).await?;
        }
        self.image.put_root(root, Expect::Version(found.clone())).await
    }
}

impl std::fmt::Debug for InlineExporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineExporter").field("found", &self.found).finish_non_exhaustive()
    }
}

#[async_trait]
impl CacheExporter for InlineExporter {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    /// A layer of the image is [`Pushed::Present`]; any other blob is [`Pushed::Unneeded`]. Neither is read or written.
    async fn push(&self, blob: &Descriptor, _: &dyn BlobProvider) -> Result<Pushed> {
        let (tree, _) = self.found().await?;
        let is_layer = tree.images().flat_map(|image| &image.layers).any(|layer| layer.blob == blob.digest);
        Ok(if is_layer { Pushed::Present } else { Pushed::Unneeded })
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        let (tree, version) = self.found().await?;
        let is_expected = match &expect {
            Expect::Any => true,
            Expect::Absent => false,
            Expect::Version(expected) => expected == version,
        };
        if !is_expected {
            let error = inline(ErrorKind::Conflict, "the image is not the one that was expected");
            return Err(error.with("found", version.as_str()));
        }
        let mut coverage = Coverage::default();
        let documents = tree.edited(|image| edit(image, manifest, &mut coverage))?;
        if coverage.covered == 0 {
            let error = inline(ErrorKind::NotFound, "failed to match any cache with layers");
            return Err(error.with("layers", coverage.layers).with_hint(NO_MATCH));
        }
        let (root, version) = match documents.split_last() {
            Some((root, below)) => (root, self.write(root, below, version).await?),
            None => (tree.root(), version.clone()),
        };
        let committed = Committed::new(Some(root.descriptor.clone()), version);
        Ok(Committed { coverage: Some(coverage), ..committed })
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

const NO_MATCH: &str = "no result of the cache consists of the image's layers; export image and cache from one build, the cache with mode=max";

/// The image's config with the records that are about it.
fn edit(image: &Image, cache: &CacheManifest, coverage: &mut Coverage) -> Result<Option<Vec<u8>>> {
    coverage.layers += image.layers.len();
    let Some(records) = InlineRecords::of(cache, &image.layers)? else { return Ok(None) };
    coverage.covered += records.coverage().covered;
    embed(&image.config.bytes, &records).map(Some)
}

#[cfg(test)]
mod tests;
