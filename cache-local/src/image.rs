//! [`LocalImage`]: an image in an OCI layout, into which an inline cache can be written.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::seams::{BlobInfo, ImageStore};
use cache_core::{BlobProvider, BlobStream, Descriptor, Digest, Expect, Result, Version, read_all};

use crate::error::on_path;
use crate::exporter::{check_expected, put};
use crate::importer::find;
use crate::index::Index;
use crate::layout::Layout;
use crate::task::blocking;
use crate::{LocalConfig, LocalExporter, LocalImporter};

/// An image in an OCI layout: the entry of `index.json` with the tag or the digest.
///
/// Without either it is `latest`, or else the only entry, if that has no name, as for an import. Documents are written
/// as by an export. The entry keeps its position and its annotations when it gets a new root; the old documents are
/// kept until the directory is pruned.
#[derive(Debug)]
pub struct LocalImage {
    config: LocalConfig,
    importer: LocalImporter,
    exporter: LocalExporter,
    /// Documents that must still exist when the root is written.
    written: Mutex<Vec<(Digest, u64)>>,
}

impl LocalImage {
    /// The image that `config` names; nothing is touched before the first write.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let (importer, exporter) = (LocalImporter::new(config.clone()), LocalExporter::of_image(config.clone()));
        Self { config, importer, exporter, written: Mutex::default() }
    }
}

#[async_trait]
impl BlobProvider for LocalImage {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.importer.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        self.importer.read(blob, range).await
    }
}

#[async_trait]
impl ImageStore for LocalImage {
    async fn root(&self) -> Result<Option<(Document, Version)>> {
        let (layout, limits) = (Layout::new(self.config.root()), self.config.limits());
        let selection = self.config.selection()?;
        let Some(descriptor) = blocking(move || find(&layout, &selection, &limits)).await? else { return Ok(None) };
        let about = |error| on_path(error, self.config.root());
        let bytes = read_all(self, &descriptor, limits.manifest).await.map_err(about)?;
        let version = Version::new(descriptor.digest.to_string());
        Ok(Some((Document { descriptor, bytes }, version)))
    }

    async fn put(&self, document: &Document) -> Result<()> {
        self.exporter.put(document).await?;
        let written = (document.descriptor.digest, document.descriptor.size);
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        Ok(())
    }

    /// If a document was deleted after it was put, by a prune or a reset of the directory, the error is
    /// [`Unavailable`](cache_core::ErrorKind::Unavailable).
    async fn put_root(&self, root: &Document, expect: Expect) -> Result<Version> {
        self.put(root).await?;
        let ingest = self.exporter.ingest().await?;
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (config, selection, manifest) = (self.config.clone(), self.config.selection()?, root.descriptor.clone());
        let change = move |index: &mut Index| {
            check_expected(&config, selection.entry(index), &expect)?;
            if !index.replace(|index| selection.entry(index), &manifest)? {
                put(index, &config, &manifest)?;
            }
            Ok(())
        };
        self.exporter.update_index(&ingest, written, change).await?;
        Ok(Version::new(root.descriptor.digest.to_string()))
    }
}

/// Whether the text can only be a path, or is the path of a directory with an `index.json`.
pub(crate) async fn is_layout(image: &str) -> Result<bool> {
    let path = Path::new(image).to_owned();
    if path.is_absolute() || image.starts_with('.') {
        return Ok(true);
    }
    blocking(move || Ok(!path.as_os_str().is_empty() && Layout::new(&path).index_path().is_file())).await
}

#[cfg(test)]
mod tests;
