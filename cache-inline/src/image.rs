//! The documents of an image with all its platforms, and how a new config changes them.

use std::collections::{HashMap, HashSet};

use cache_core::json::JsonObject;
use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::seams::ImageStore;
use cache_core::{Descriptor, DiffId, Error, ErrorKind, MediaType, Result, read_all};

use crate::ImageLayer;
use crate::error::inline;
use crate::redirect::redirect;

/// Docker's name for an image config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Marks an entry of an index that is about another entry and no image itself.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The documents of an image that can change, each after those below it.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    document: Document,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Image(Box<Image>),
    Index,
    /// Another document: an attestation, an artefact, a cache.
    Other,
}

/// The image of one platform.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) config: Document,
    pub(crate) layers: Vec<ImageLayer>,
}

impl Tree {
    /// Reads the documents below `root`, which becomes the last one.
    ///
    /// Attestations are skipped, and so are manifests that the store does not have: a layout may have only some of an
    /// image's platforms.
    pub(crate) async fn load(store: &dyn ImageStore, root: Document, limits: &Limits) -> Result<Self> {
        let mut nodes = Vec::new();
        let mut seen = HashSet::from([root.descriptor.digest]);
        let mut todo = vec![Todo::Expand(root)];
        while let Some(next) = todo.pop() {
            match next {
                // Seen when it is read and not when it is named, so that what two indexes name stands before both.
                Todo::Read(entry) if !seen.insert(entry.digest) => {}
                Todo::Read(entry) => todo.extend(read(store, &entry, limits).await?.map(Todo::Expand)),
                Todo::Keep(node) => nodes.push(*node),
                Todo::Expand(document) => {
                    let (node, below) = Node::new(store, document, limits).await?;
                    todo.push(Todo::Keep(Box::new(node)));
                    todo.extend(below.into_iter().rev().map(Todo::Read));
                }
            }
            if seen.len() > limits.images {
                let error = inline(ErrorKind::LimitExceeded, "image index names too many manifests");
                return Err(error.with("limit", limits.images));
            }
        }
        Ok(Self { nodes })
    }

    /// The images, one for each platform that is there.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Image(image) => Some(&**image),
            _ => None,
        })
    }

    /// The document that the others are below.
    pub(crate) fn root(&self) -> &Document {
        let root = self.nodes.last().expect("a tree is loaded from its root");
        &root.document
    }

    /// Replaces the configs of images by the results of `edit`. Returns the new documents, each after those that it
    /// names: the root is the last one. Without a changed config there are none.
    pub(crate) fn edited(&self, mut edit: impl FnMut(&Image) -> Result<Option<Vec<u8>>>) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        let mut moved = HashMap::new();
        for node in &self.nodes {
            let Node { document, kind } = node;
            let changed = match kind {
                Kind::Image(image) => match edit(image)?.filter(|config| *config != image.config.bytes) {
                    Some(config) => {
                        let config = Document::new(image.config.descriptor.media_type.clone(), config);
                        // Separate, because two manifests with other layers can share a config.
                        let moved = HashMap::from([(image.config.descriptor.digest, config.clone())]);
                        documents.push(config);
                        redirect(&document.bytes, &moved)?
                    }
                    None => None,
                },
                Kind::Index => redirect(&document.bytes, &moved)?,
                Kind::Other => None,
            };
            if let Some(bytes) = changed {
                let new = Document::new(document.descriptor.media_type.clone(), bytes);
                moved.insert(document.descriptor.digest, new.clone());
                documents.push(new);
            }
        }
        Ok(documents)
    }
}

enum Todo {
    Read(Descriptor),
    Expand(Document),
    Keep(Box<Node>),
}

async fn read(store: &dyn ImageStore, entry: &Descriptor, limits: &Limits) -> Result<Option<Document>> {
    match read_all(store, entry, limits.manifest).await {
        Ok(bytes) => Ok(Some(Document { descriptor: entry.clone(), bytes })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.with("manifest", entry.digest)),
    }
}

impl Node {
    /// The document, and the entries that may lead to images if it is an index.
    async fn new(store: &dyn ImageStore, document: Document, limits: &Limits) -> Result<(Self, Vec<Descriptor>)> {
        let about = |error: Error| error.with("manifest", document.descriptor.digest);
        let json = JsonObject::decode(&document.bytes).map_err(about)?;
        if let Some(entries) = json.field::<Vec<Descriptor>>("manifests").map_err(about)? {
            return Ok((Self { document, kind: Kind::Index }, entries.into_iter().filter(is_image).collect()));
        }
        let image = Image::of(&json, store, limits).await.map_err(about)?;
        let kind = image.map_or(Kind::Other, |image| Kind::Image(Box::new(image)));
        Ok((Self { document, kind }, Vec::new()))
    }
}

/// Whether an entry of an index may lead to images.
fn is_image(entry: &Descriptor) -> bool {
    entry.media_type.is_manifest() && !entry.annotations.contains_key(REFERENCE_TYPE)
}

impl Image {
    /// `None` if it is not an image, if the config does not list the layers, and for an image without layers: BuildKit
    /// skips these when it looks for records.
    async fn of(manifest: &JsonObject, store: &dyn ImageStore, limits: &Limits) -> Result<Option<Self>> {
        let is_config = |config: &Descriptor| {
            config.media_type == MediaType::OCI_CONFIG || config.media_type.as_str() == DOCKER_CONFIG
        };
        let Some(config) = manifest.field("config")?.filter(is_config) else { return Ok(None) };
        let layers: Vec<Descriptor> = manifest.field("layers")?.unwrap_or_default();
        let bytes = read_all(store, &config, limits.config).await?;
        let root_fs: JsonObject = JsonObject::decode(&bytes)?.field("rootfs")?.unwrap_or_default();
        let diff_ids: Vec<DiffId> = root_fs.field("diff_ids")?.unwrap_or_default();
        if layers.is_empty() || diff_ids.len() != layers.len() {
            return Ok(None);
        }
        let layer = |(layer, diff_id): (&Descriptor, DiffId)| ImageLayer::new(layer.digest).with_diff_id(diff_id);
        let layers = layers.iter().zip(diff_ids).map(layer).collect();
        Ok(Some(Self { config: Document { descriptor: config, bytes }, layers }))
    }
}
