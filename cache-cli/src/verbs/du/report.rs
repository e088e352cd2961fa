//! `buildcache.du/v1`

use std::fmt::Write as _;

use cache_core::{Digest, MediaType, Timestamp};
use serde::Serialize;

use crate::output::Report;
use crate::table::{Column, Table};
use crate::text;

/// What caches and their stores weigh. Manifests and configs count like layers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// What this document is.
    schema: &'static str,
    /// The caches that were named.
    pub(super) caches: Vec<CacheUsage>,
    /// The bytes of all named caches, each blob counted once.
    pub(super) unique_bytes: u64,
    /// The bytes of the blobs that more than one of the named caches reaches, each counted once.
    pub(super) shared_bytes: u64,
    /// The stores that they are in.
    pub(super) stores: Vec<StoreUsage>,
    /// The biggest layers of these caches.
    pub(super) biggest_layers: Vec<LayerUsage>,
}

/// One of the named caches.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheUsage {
    /// Its spec.
    pub(super) cache: String,
    /// The manifest that it led to.
    pub(super) digest: Option<Digest>,
    /// How many blobs it reaches.
    pub(super) blobs: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Of these, the bytes that another of the named caches reaches too.
    pub(super) shared_bytes: u64,
}

/// A store that one of the named caches is in.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoreUsage {
    /// Its spec.
    pub(super) store: String,
    /// How many caches it holds.
    pub(super) caches: usize,
    /// How many blobs it holds.
    pub(super) blobs: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// None while a cache of the store cannot be read.
    pub(super) unreachable_blobs: Option<usize>,
    /// None while a cache of the store cannot be read.
    pub(super) unreachable_bytes: Option<u64>,
    /// Caches that cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// Where the service allows only so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<QuotaUsage>,
}

impl StoreUsage {
    /// Blobs and bytes that no cache reaches; `None` while a cache of the store cannot be read.
    pub(crate) fn unreachable(&self) -> Option<(usize, u64)> {
        self.unreachable_blobs.zip(self.unreachable_bytes)
    }
}

/// What counts towards a service's limit, other people's entries included.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct QuotaUsage {
    /// What is used of it.
    pub(super) used_bytes: u64,
    /// What the service allows.
    pub(super) limit_bytes: u64,
}

/// A cache of the store that cannot be read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Unreadable {
    /// Its tag, name or scope.
    pub(super) name: Option<String>,
    /// Its manifest.
    pub(super) digest: Option<Digest>,
    /// Why it cannot be read.
    pub(super) error: String,
}

/// One layer.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerUsage {
    /// Its blob.
    pub(super) blob: Digest,
    /// Its media type.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) media_type: MediaType,
    /// Its size in bytes.
    pub(super) size: u64,
    /// How many of the named caches reach it.
    pub(super) caches: usize,
}

impl Usage {
    pub(super) fn new(
        caches: Vec<CacheUsage>,
        unique_bytes: u64,
        shared_bytes: u64,
        biggest_layers: Vec<LayerUsage>,
    ) -> Self {
        Self { schema: "buildcache.du/v1", caches, unique_bytes, shared_bytes, stores: Vec::new(), biggest_layers }
    }

    fn caches_table(&self) -> Table {
        let columns = [Column::Left("CACHE"), Column::Right("BLOBS"), Column::Right("BYTES"), Column::Right("SHARED")];
        let mut table = Table::new(columns);
        for cache in &self.caches {
            let (bytes, shared) = (text::size(cache.bytes), text::size(cache.shared_bytes));
            table.row([cache.cache.clone(), cache.blobs.to_string(), bytes, shared]);
        }
        if self.caches.len() > 1 {
            let (bytes, shared) = (text::size(self.unique_bytes), text::size(self.shared_bytes));
            table.row(["together".to_owned(), String::new(), bytes, shared]);
        }
        table
    }

    fn stores_table(&self) -> Table {
        let columns = [
            Column::Left("STORE"),
            Column::Right("CACHES"),
            Column::Right("BLOBS"),
            Column::Right("BYTES"),
            Column::Right("UNREACHABLE"),
        ];
        let mut table = Table::new(columns);
        for store in &self.stores {
            let unreachable = store.unreachable_bytes.map_or_else(|| "unknown".to_owned(), text::size);
            let (caches, blobs) = (store.caches.to_string(), store.blobs.to_string());
            table.row([store.store.clone(), caches, blobs, text::size(store.bytes), unreachable]);
        }
        table
    }

    fn layers_table(&self) -> Table {
        let columns = [
            Column::Left("BIGGEST LAYERS"),
            Column::Right("SIZE"),
            Column::Right("CACHES"),
            Column::Left("MEDIA TYPE"),
        ];
        let mut table = Table::new(columns);
        for layer in &self.biggest_layers {
            let (size, caches) = (text::size(layer.size), layer.caches.to_string());
            table.row([layer.blob.to_string(), size, caches, layer.media_type.to_string()]);
        }
        table
    }
}

impl Report for Usage {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let tables = [
            (!self.caches.is_empty()).then(|| self.caches_table().to_string()),
            (!self.stores.is_empty()).then(|| self.stores_table().to_string()),
        ];
        let mut text = tables.into_iter().flatten().collect::<Vec<_>>().join("\n");
        for quota in self.stores.iter().filter_map(|store| store.quota.as_ref()) {
            let (used, limit) = (text::size(quota.used_bytes), text::size(quota.limit_bytes));
            let left = text::size(quota.limit_bytes.saturating_sub(quota.used_bytes));
            let _ = writeln!(text, "quota: {used} of {limit} are used, {left} are left before old entries are deleted");
        }
        for unreadable in self.stores.iter().flat_map(|store| &store.unreadable) {
            let name = unreadable.name.as_deref().unwrap_or("(no name)");
            let _ = writeln!(text, "cannot be read: {}", text::printable(&format!("{name}: {}", unreadable.error)));
        }
        if !self.biggest_layers.is_empty() {
            let _ = write!(text, "\n{}", self.layers_table());
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.caches.iter().filter_map(|cache| cache.digest).collect()
    }
}
