//! The layers of all results as one tree, so that shared parents are stored once.
//!
//! A layer is its blob on top of its parent: the same blob on another parent is another layer, as in BuildKit.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{Descriptor, Digest, annotation};

/// A layer, and with it the chain of layers down to the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LayerId(u32);

#[derive(Debug, Clone, Default)]
pub(super) struct LayerTree {
    blobs: Vec<Arc<Descriptor>>,
    by_digest: HashMap<Digest, u32>,
    layers: Vec<Layer>,
    by_place: HashMap<(u32, Option<LayerId>), LayerId>,
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    blob: u32,
    parent: Option<LayerId>,
    depth: u32,
}

impl LayerTree {
    /// Adds a chain, bottom first; `None` for an empty one.
    pub(super) fn chain(&mut self, layers: impl IntoIterator<Item = Descriptor>) -> Option<LayerId> {
        let mut top = None;
        for layer in layers {
            let blob = self.blob(Arc::new(layer));
            top = Some(self.layer(blob, top));
        }
        top
    }

    /// Adds a blob. Of two descriptors of one blob the fuller one stays, then the smaller one, so that the order in
    /// which caches are merged does not matter.
    pub(super) fn blob(&mut self, descriptor: Arc<Descriptor>) -> u32 {
        let next = u32::try_from(self.blobs.len()).expect("a config is bounded far below 2^32 blobs");
        match self.by_digest.entry(descriptor.digest) {
            Entry::Vacant(entry) => {
                entry.insert(next);
                self.blobs.push(descriptor);
                next
            }
            Entry::Occupied(entry) => {
                let known = &mut self.blobs[*entry.get() as usize];
                if *known != descriptor && rank(&descriptor) < rank(known) {
                    *known = descriptor;
                }
                *entry.get()
            }
        }
    }

    /// Adds a layer: a blob on top of a parent.
    pub(super) fn layer(&mut self, blob: u32, parent: Option<LayerId>) -> LayerId {
        let next = LayerId(u32::try_from(self.layers.len()).expect("a config is bounded far below 2^32 layers"));
        *self.by_place.entry((blob, parent)).or_insert_with(|| {
            let depth = parent.map_or(1, |parent| self.layers[parent.0 as usize].depth + 1);
            self.layers.push(Layer { blob, parent, depth });
            next
        })
    }

    pub(super) fn parent(&self, layer: LayerId) -> Option<LayerId> {
        self.layers[layer.0 as usize].parent
    }

    pub(super) fn descriptor(&self, layer: LayerId) -> &Arc<Descriptor> {
        &self.blobs[self.layers[layer.0 as usize].blob as usize]
    }

    pub(super) fn blob_of(&self, layer: LayerId) -> u32 {
        self.layers[layer.0 as usize].blob
    }

    /// How many layers the chain has.
    pub(super) fn depth(&self, layer: LayerId) -> u32 {
        self.layers[layer.0 as usize].depth
    }

    /// The chain from the top down.
    pub(super) fn down(&self, top: LayerId) -> impl Iterator<Item = LayerId> {
        std::iter::successors(Some(top), |&layer| self.parent(layer))
    }

    /// The descriptors of the chain, bottom first.
    pub(super) fn descriptors(&self, top: LayerId) -> Vec<Descriptor> {
        let mut chain: Vec<Descriptor> = self.down(top).map(|layer| self.descriptor(layer).as_ref().clone()).collect();
        chain.reverse();
        chain
    }

    /// Every layer; a parent stands before its children.
    pub(super) fn all(&self) -> impl Iterator<Item = LayerId> {
        (0..).take(self.layers.len()).map(LayerId)
    }

    pub(super) fn reserve(&mut self, layers: usize) {
        self.layers.reserve(layers);
        self.by_place.reserve(layers);
        self.blobs.reserve(layers);
        self.by_digest.reserve(layers);
    }

    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }
}

impl LayerId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

fn rank(descriptor: &Descriptor) -> (bool, &Descriptor) {
    (!descriptor.annotations.contains_key(annotation::UNCOMPRESSED), descriptor)
}
