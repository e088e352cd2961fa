//! The caches and blobs of a store, by number.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{LAYERS, Size};

/// A time that is older than every grace.
pub(super) const MODIFIED: &str = "2020-01-01T00:00:00.000Z";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Blobs and caches, which are always the same for a size.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    pub(super) size: Size,
}

/// A page of a list: keys with their sizes.
pub(super) struct Page {
    pub(super) keys: Vec<(String, usize)>,
    pub(super) is_truncated: bool,
}

/// A request for a list.
pub(super) struct List<'a> {
    pub(super) prefix: &'a str,
    /// The key after which it begins.
    pub(super) after: &'a str,
}

impl Content {
    /// The content of a store of this size.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size }
    }

    /// The digest of a blob. Blobs are spread evenly over all digests, in the order of their numbers.
    #[must_use]
    pub fn blob(&self, number: usize) -> String {
        let step = u64::MAX / (self.size.blobs as u64 + 1);
        format!("sha256:{:016x}{:048x}", step * (number as u64 + 1), 0)
    }

    /// The size of a blob in bytes.
    #[must_use]
    pub fn length(number: usize) -> usize {
        1_000 + number % 1_000
    }

    /// The name of a cache.
    #[must_use]
    pub fn name(number: usize) -> String {
        format!("cache-{number:06}")
    }

    /// The number of the cache with this name.
    pub(super) fn number(name: &str) -> Option<usize> {
        name.strip_prefix("cache-")?.parse().ok()
    }

    /// The config of a cache with one step and a chain of layers.
    #[must_use]
    pub fn config(&self, number: usize) -> String {
        self.document(number, |_, _| String::new())
    }

    /// The index of the same cache in a bucket, with the annotations of its layers.
    pub(super) fn index(&self, number: usize) -> String {
        self.document(number, |digest, length| {
            format!(
                ",\"annotations\":{{\"mediaType\":\"{LAYER}\",\"diffID\":\"{digest}\",\"size\":{length},\
                 \"createdAt\":\"{MODIFIED}\"}}"
            )
        })
    }

    /// The manifest of a cache whose config has this digest and size.
    #[must_use]
    pub fn manifest(&self, number: usize, config: (&str, usize)) -> String {
        let mut layers = String::new();
        for (at, (digest, length)) in self.layers(number).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                layers,
                "{comma}{{\"mediaType\":\"{LAYER}\",\"digest\":\"{digest}\",\"size\":{length},\"annotations\":\
                 {{\"buildkit/createdat\":\"{MODIFIED}\",\"containerd.io/uncompressed\":\"{digest}\"}}}}"
            );
        }
        format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\
             \"application/vnd.buildkit.cacheconfig.v0\",\"digest\":\"{}\",\"size\":{}}},\"layers\":[{layers}]}}",
            config.0, config.1
        )
    }

    fn layers(&self, number: usize) -> impl Iterator<Item = (String, usize)> {
        let blobs = number * LAYERS..(number + 1) * LAYERS;
        blobs.map(|blob| (self.blob(blob % self.size.blobs.max(1)), Self::length(blob)))
    }

    fn document(&self, number: usize, annotations: impl Fn(&str, usize) -> String) -> String {
        let mut layers = String::new();
        for (at, (digest, length)) in self.layers(number).enumerate() {
            let parent = i64::try_from(at).unwrap_or(0) - 1;
            let (comma, more) = (if at > 0 { "," } else { "" }, annotations(&digest, length));
            let _ = write!(layers, "{comma}{{\"blob\":\"{digest}\",\"parent\":{parent}{more}}}");
        }
        let (top, key) = (LAYERS - 1, self.blob(number));
        format!(
            "{{\"layers\":[{layers}],\"records\":[{{\"layers\":[{{\"layer\":{top},\"createdAt\":\"{MODIFIED}\"}}],\
             \"digest\":\"{key}\"}}]}}"
        )
    }

    /// The blob at a key.
    pub(super) fn at(&self, key: &str) -> Option<usize> {
        let number = self.first_from(key);
        (number < self.size.blobs && self.key(number) == key).then_some(number)
    }

    /// A page of a list.
    pub(super) fn list(&self, list: &List<'_>, deleted: &BTreeSet<usize>) -> Page {
        let is_listed = |key: &str| key > list.after && key.starts_with(list.prefix);
        let size = self.size;
        let mut keys: Vec<(String, usize)> = if list.prefix.starts_with("manifests") {
            let names = (0..size.caches).map(|number| (format!("manifests/{}", Self::name(number)), 20_000));
            names.filter(|(key, _)| is_listed(key)).take(size.page + 1).collect()
        } else {
            let numbers = self.first_from(list.prefix.max(list.after))..size.blobs;
            let there = numbers.filter(|number| !deleted.contains(number));
            let there =
                there.map(|number| (self.key(number), Self::length(number))).skip_while(|(key, _)| key == list.after);
            there.take_while(|(key, _)| is_listed(key)).take(size.page + 1).collect()
        };
        let is_truncated = keys.len() > size.page;
        keys.truncate(size.page);
        Page { keys, is_truncated }
    }

    fn key(&self, number: usize) -> String {
        format!("blobs/{}", self.blob(number))
    }

    /// The number of the first blob whose key is not before `key`.
    fn first_from(&self, key: &str) -> usize {
        let (mut low, mut high) = (0, self.size.blobs);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).as_str() < key { low = middle + 1 } else { high = middle }
        }
        low
    }
}
