//! [`CacheChains`]: records joined by links and selectors, with their results.
//!
//! It is made from a sound [`CacheConfig`](crate::CacheConfig), or filled by a build tool. Every link leads to a
//! record, and nothing loops: links are checked when they are added, and a link that would close a loop is dropped, as
//! in BuildKit.

mod closure;
mod decode;
mod encode;
mod interner;
mod layers;
mod lookup;
mod merge;
mod order;
mod select;
mod topology;
mod unfold;

use std::sync::Arc;

use foldhash::{HashMap, HashSet};

pub(crate) use self::decode::closes_loop;
use self::interner::Interner;
use self::layers::{LayerId, LayerTree};
pub use self::lookup::CacheHit;
pub use self::select::LazyLayers;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::CacheKey;
use crate::model::{Descriptor, Timestamp};

/// The graph of a cache.
///
/// ```
/// use cache_core::{CacheChains, CacheKey, CacheLink, CacheResult, Descriptor, Digest, MediaType, Timestamp};
///
/// let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer");
/// let key = CacheKey::output(Digest::sha256(b"RUN make"), 0);
///
/// let mut chains = CacheChains::new();
/// let source = chains.add_root(CacheKey::content(Digest::sha256(b"sources")))?.expect("not a random key");
/// let inputs = [vec![CacheLink::new(source)]];
/// chains.add(key.clone(), &inputs, vec![CacheResult::new(Timestamp::now(), vec![layer])])?;
///
/// let hits = chains.lookup(&key, &inputs);
/// assert_eq!(chains.hit(hits[0]).expect("it has a result").layers.len(), 1);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CacheChains {
    keys: Interner<CacheKey>,
    selectors: Interner<Box<str>>,
    layers: LayerTree,
    records: Vec<Record>,
    roots: HashMap<u32, u32>,
    /// The records below a record, by how they hang on it.
    below: HashMap<Edge, Vec<u32>>,
    /// All links, seen from the record to which they lead.
    links: HashSet<Link>,
    /// Whether a link was dropped or records were kept apart because of a loop.
    has_cut: bool,
    /// Whether a record was added to one that was there, so that others may have become the same.
    has_joined: bool,
}

/// A record of a [`CacheChains`]. It stays valid when records are merged; it must not be used with another graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(u32);

/// One alternative of an input: a record, and which part of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLink {
    /// The record that the input is.
    pub record: RecordId,
    /// Which part of it is used; opaque, empty for all of it.
    pub selector: String,
}

/// A result for a record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CacheResult {
    /// When the result was made.
    pub created_at: Timestamp,
    /// The layers, bottom first, or the means to make them.
    pub layers: ResultLayers,
}

/// The layers of a result.
#[derive(Clone)]
#[non_exhaustive]
pub enum ResultLayers {
    /// Blobs that exist, bottom first.
    Ready(Vec<Descriptor>),
    /// Layers that are only made when the export's mode needs them.
    Lazy(Arc<dyn LazyLayers>),
}

#[derive(Debug, Clone)]
struct Record {
    key: u32,
    /// For each input its alternatives.
    inputs: Vec<Vec<Alternative>>,
    /// The records that hang on this one, each once for each link.
    children: Vec<u32>,
    results: Vec<StoredResult>,
    /// The place in a topological order: parents stand before children.
    order: u32,
    /// The record that this one was merged into.
    merged_into: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Alternative {
    record: u32,
    selector: u32,
}

#[derive(Debug, Clone)]
struct StoredResult {
    created_at: Timestamp,
    layers: StoredLayers,
}

#[derive(Clone)]
enum StoredLayers {
    Ready(LayerId),
    /// No layers: an empty file system.
    Empty,
    Lazy(Arc<dyn LazyLayers>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Edge {
    parent: u32,
    selector: u32,
    input: u32,
    key: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Link {
    child: u32,
    input: u32,
    from: Alternative,
}

impl CacheLink {
    /// All of `record`.
    #[must_use]
    pub fn new(record: RecordId) -> Self {
        Self { record, selector: String::new() }
    }

    /// Only the part of `record` that `selector` names.
    #[must_use]
    pub fn with_selector(record: RecordId, selector: impl Into<String>) -> Self {
        Self { record, selector: selector.into() }
    }
}

impl CacheResult {
    /// A result whose blobs exist, bottom first.
    #[must_use]
    pub fn new(created_at: Timestamp, layers: Vec<Descriptor>) -> Self {
        Self { created_at, layers: ResultLayers::Ready(layers) }
    }

    /// A result whose blobs are made when an export needs them.
    #[must_use]
    pub fn lazy(created_at: Timestamp, layers: Arc<dyn LazyLayers>) -> Self {
        Self { created_at, layers: ResultLayers::Lazy(layers) }
    }
}

impl CacheChains {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with_capacity(records: usize, layers: usize) -> Self {
        let mut chains = Self::new();
        chains.keys.reserve(records);
        chains.records.reserve(records);
        chains.below.reserve(records);
        chains.links.reserve(records);
        chains.layers.reserve(layers);
        chains
    }

    /// Adds a record without inputs: a source, or the content of something.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_root(&mut self, key: CacheKey) -> Result<Option<RecordId>> {
        self.add(key, &[], Vec::new())
    }

    /// Adds a record, or adds to the equal one that exists.
    ///
    /// `inputs` has the alternatives of each input. A record with the same key that shares an alternative for every
    /// input is the same record: links and results are added to it. A link that would close a loop is dropped. A random
    /// key (`random:…`) is never stored: `None`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] for an input without alternatives and for a record of another graph.
    pub fn add(
        &mut self,
        key: CacheKey,
        inputs: &[Vec<CacheLink>],
        results: Vec<CacheResult>,
    ) -> Result<Option<RecordId>> {
        if key.is_random() {
            return Ok(None);
        }
        let inputs = self.intern_inputs(&key, inputs)?;
        let key = self.keys.intern(key);
        let record = self.add_interned(key, &inputs);
        for result in results {
            let layers = match result.layers {
                ResultLayers::Ready(layers) => match self.layers.chain(layers) {
                    Some(top) => StoredLayers::Ready(top),
                    None => continue,
                },
                ResultLayers::Lazy(layers) => StoredLayers::Lazy(layers),
            };
            self.add_result(record, StoredResult { created_at: result.created_at, layers });
        }
        Ok(Some(RecordId(record)))
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.iter().filter(|record| record.merged_into.is_none()).count()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every record, parents before children.
    pub fn records(&self) -> impl Iterator<Item = RecordId> {
        self.in_order().into_iter().map(RecordId)
    }

    /// A record's key.
    ///
    /// # Panics
    /// When the record is of another graph.
    #[must_use]
    pub fn key(&self, record: RecordId) -> &CacheKey {
        self.keys.get(self.records[self.find(record.0) as usize].key)
    }

    /// A record's inputs, for each its alternatives.
    ///
    /// # Panics
    /// When the record is of another graph.
    #[must_use]
    pub fn inputs(&self, record: RecordId) -> Vec<Vec<CacheLink>> {
        let link = |from: &Alternative| {
            CacheLink::with_selector(RecordId(from.record), self.selectors.get(from.selector).as_ref())
        };
        let inputs = &self.records[self.find(record.0) as usize].inputs;
        inputs.iter().map(|input| input.iter().map(link).collect()).collect()
    }

    /// The record that `record` is now, after merges.
    fn find(&self, record: u32) -> u32 {
        let mut at = record;
        while let Some(main) = self.records[at as usize].merged_into {
            at = main;
        }
        at
    }

    fn in_order(&self) -> Vec<u32> {
        let mut ids: Vec<u32> =
            (0..).zip(&self.records).filter(|(_, r)| r.merged_into.is_none()).map(|(n, _)| n).collect();
        ids.sort_unstable_by_key(|&id| self.records[id as usize].order);
        ids
    }

    fn intern_inputs(&mut self, key: &CacheKey, inputs: &[Vec<CacheLink>]) -> Result<Vec<Vec<Alternative>>> {
        let mut interned = Vec::with_capacity(inputs.len());
        for input in inputs {
            if input.is_empty() {
                return Err(Error::new(ErrorKind::InvalidManifest, format!("empty dependency for {key}")));
            }
            let mut alternatives = Vec::with_capacity(input.len());
            for link in input {
                if link.record.0 as usize >= self.records.len() {
                    let message = format!("dependency of {key} is not part of the same cache chain");
                    return Err(Error::new(ErrorKind::InvalidManifest, message));
                }
                let record = self.find(link.record.0);
                let selector = self.selectors.intern_str(&link.selector);
                alternatives.push(Alternative { record, selector });
            }
            interned.push(alternatives);
        }
        Ok(interned)
    }

    /// Finds or makes the record with this key and these inputs.
    fn add_interned(&mut self, key: u32, inputs: &[Vec<Alternative>]) -> u32 {
        if inputs.is_empty() {
            return match self.roots.get(&key) {
                Some(&root) => root,
                None => {
                    let root = self.push_record(key, 0);
                    self.roots.insert(key, root);
                    root
                }
            };
        }
        let same = self.candidates(key, inputs, Some(inputs.len()));
        self.has_joined |= !same.is_empty();
        let record = match same.split_first() {
            None => self.push_record(key, inputs.len()),
            Some((&main, others)) => {
                others.iter().for_each(|&other| {
                    self.contract(main, other);
                });
                main
            }
        };
        self.link_inputs(record, inputs);
        record
    }

    /// Adds a new record, even if an equal one exists.
    fn add_apart(&mut self, key: u32, inputs: &[Vec<Alternative>]) -> u32 {
        let record = self.push_record(key, inputs.len());
        self.link_inputs(record, inputs);
        record
    }

    fn link_inputs(&mut self, record: u32, inputs: &[Vec<Alternative>]) {
        for (input, alternatives) in (0..).zip(inputs) {
            for &from in alternatives {
                let from = Alternative { record: self.find(from.record), ..from };
                self.link(record, input, from);
            }
        }
    }

    fn push_record(&mut self, key: u32, inputs: usize) -> u32 {
        let id = u32::try_from(self.records.len()).expect("a config is bounded far below 2^32 records");
        self.records.push(Record {
            key,
            inputs: vec![Vec::new(); inputs],
            children: Vec::new(),
            results: Vec::new(),
            order: id,
            merged_into: None,
        });
        id
    }

    /// Adds a link unless it is there or would close a loop.
    fn link(&mut self, child: u32, input: u32, from: Alternative) {
        if self.links.contains(&Link { child, input, from }) {
            return;
        }
        if !self.make_room(from.record, child) {
            self.has_cut = true;
            return;
        }
        self.links.insert(Link { child, input, from });
        let key = self.records[child as usize].key;
        self.below.entry(Edge { parent: from.record, selector: from.selector, input, key }).or_default().push(child);
        self.records[child as usize].inputs[input as usize].push(from);
        self.records[from.record as usize].children.push(child);
    }

    /// Adds a result unless the same one is there.
    fn add_result(&mut self, record: u32, result: StoredResult) {
        let results = &mut self.records[record as usize].results;
        match results.iter_mut().find(|known| known.is_same(&result)) {
            // One instant can be written in several time zones. The order in which caches are merged must not matter.
            Some(known) if result.created_at.to_string() < known.created_at.to_string() => *known = result,
            Some(_) => {}
            None => results.push(result),
        }
    }
}

impl StoredResult {
    fn is_same(&self, other: &Self) -> bool {
        self.created_at == other.created_at
            && match (&self.layers, &other.layers) {
                (StoredLayers::Ready(a), StoredLayers::Ready(b)) => a == b,
                (StoredLayers::Empty, StoredLayers::Empty) => true,
                (StoredLayers::Lazy(a), StoredLayers::Lazy(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
    }

    fn ready(&self) -> Option<LayerId> {
        match self.layers {
            StoredLayers::Ready(top) => Some(top),
            StoredLayers::Empty | StoredLayers::Lazy(_) => None,
        }
    }

    fn is_ready(&self) -> bool {
        !matches!(self.layers, StoredLayers::Lazy(_))
    }
}

impl std::fmt::Debug for StoredLayers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(top) => f.debug_tuple("Ready").field(top).finish(),
            Self::Empty => f.write_str("Empty"),
            Self::Lazy(_) => f.write_str("Lazy"),
        }
    }
}

impl std::fmt::Debug for ResultLayers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(layers) => f.debug_tuple("Ready").field(layers).finish(),
            Self::Lazy(_) => f.write_str("Lazy"),
        }
    }
}

#[cfg(test)]
mod tests;
