//! The content of an account.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// Containers.
#[derive(Debug, Default)]
pub struct Stored {
    /// By name.
    pub containers: BTreeMap<String, Container>,
    changes: u64,
}

/// One container.
#[derive(Debug, Default)]
pub struct Container {
    /// By name.
    pub blobs: BTreeMap<String, Blob>,
    /// Uncommitted blocks, by the name of the blob and their id.
    pub blocks: BTreeMap<String, BTreeMap<String, Bytes>>,
}

/// One blob.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was last written.
    pub modified: SystemTime,
    /// `x-ms-meta-*`.
    pub metadata: BTreeMap<String, String>,
}

impl Stored {
    /// Writes a blob, which drops uncommitted blocks; returns its ETag.
    ///
    /// # Panics
    /// If the container does not exist.
    pub fn put(&mut self, container: &str, name: &str, bytes: Bytes) -> String {
        let etag = self.next_etag();
        let blob = Blob { bytes, etag: etag.clone(), modified: SystemTime::now(), metadata: BTreeMap::new() };
        let container = self.containers.get_mut(container).expect("the container is there");
        container.blocks.remove(name);
        container.blobs.insert(name.to_owned(), blob);
        etag
    }

    pub(super) fn next_etag(&mut self) -> String {
        self.changes += 1;
        format!("0x8D{:013X}", self.changes)
    }

    /// Makes a blob older.
    pub fn age(&mut self, name: &str, by: Duration) {
        for blob in self.containers.values_mut().filter_map(|container| container.blobs.get_mut(name)) {
            blob.modified -= by;
        }
    }

    /// Sets when a blob was last written.
    pub fn set_modified(&mut self, name: &str, modified: SystemTime) {
        for blob in self.containers.values_mut().filter_map(|container| container.blobs.get_mut(name)) {
            blob.modified = modified;
        }
    }

    /// All blobs with their containers and names.
    pub fn blobs(&self) -> impl Iterator<Item = (&String, &String, &Blob)> {
        self.containers
            .iter()
            .flat_map(|(container, held)| held.blobs.iter().map(move |(name, blob)| (container, name, blob)))
    }

    /// The content, a line for each entry.
    #[must_use]
    pub fn contents(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.containers.keys().cloned().collect();
        lines.extend(self.blobs().map(|(container, name, blob)| format!("{container} {name} {}", blob.etag)));
        for (container, held) in &self.containers {
            lines.extend(
                held.blocks.iter().map(|(name, blocks)| format!("{container} {name}: {} blocks", blocks.len())),
            );
        }
        lines
    }
}
