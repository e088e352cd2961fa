//! The content of a registry.

use std::collections::BTreeMap;

use bytes::Bytes;
use cache_core::Digest;

/// Repositories and open uploads.
#[derive(Debug, Default)]
pub struct Stored {
    /// By name.
    pub repositories: BTreeMap<String, Repository>,
    pub(super) uploads: BTreeMap<u64, Upload>,
    last_upload: u64,
}

/// The received bytes of a blob.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    /// The number of requests for it; bytes of an older request are ignored.
    pub(super) turn: u64,
}

/// One repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// The blobs, by their names, which may be wrong digests.
    pub blobs: BTreeMap<Digest, Bytes>,
    /// The manifests with their media types.
    pub manifests: BTreeMap<Digest, (String, Bytes)>,
    /// The manifest of each tag.
    pub tags: BTreeMap<String, Digest>,
    /// The length of every blob that ever existed, as in a cache of descriptors.
    seen: BTreeMap<Digest, usize>,
    /// The manifests that were put while their bytes seemed to exist.
    linked: BTreeMap<Digest, String>,
}

impl Repository {
    /// Stores a manifest. With `remembers`, one that seems to exist only gets a link, as in distribution 2.
    pub(super) fn put_manifest(&mut self, digest: Digest, media_type: String, bytes: Bytes, remembers: bool) {
        if remembers && self.seen.contains_key(&digest) && !self.manifests.contains_key(&digest) {
            self.linked.insert(digest, media_type);
            return;
        }
        self.seen.insert(digest, bytes.len());
        self.manifests.insert(digest, (media_type, bytes));
    }

    /// Stores a blob.
    pub(super) fn put(&mut self, digest: Digest, bytes: Bytes) {
        self.seen.insert(digest, bytes.len());
        self.blobs.insert(digest, bytes);
    }
}

impl Stored {
    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// The length of a blob; with `remembers`, also of one that was deleted.
    pub(super) fn blob_length(&self, repository: &str, digest: &Digest, remembers: bool) -> Option<usize> {
        let repository = self.repositories.get(repository)?;
        let remembered = || repository.seen.get(digest).copied().filter(|_| remembers);
        repository.blobs.get(digest).map(Bytes::len).or_else(remembered)
    }

    pub(super) fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.repositories.get(repository)?.blobs.get(digest).cloned()
    }

    /// The manifest of a tag or a digest.
    pub(super) fn manifest(&self, repository: &str, name: &str) -> Option<(Digest, String, Bytes)> {
        let repository = self.repositories.get(repository)?;
        let digest = name.parse().ok().or_else(|| repository.tags.get(name).copied())?;
        let linked = || Some((repository.linked.get(&digest)?.clone(), repository.blobs.get(&digest)?.clone()));
        let (media_type, bytes) = repository.manifests.get(&digest).cloned().or_else(linked)?;
        Some((digest, media_type, bytes))
    }

    pub(super) fn open_upload(&mut self) -> u64 {
        self.last_upload += 1;
        self.uploads.insert(self.last_upload, Upload::default());
        self.last_upload
    }

    /// The uploads with bytes; empty ones do not count.
    #[must_use]
    pub fn open_uploads(&self) -> Vec<String> {
        let held = self.uploads.iter().filter(|(_, upload)| !upload.bytes.is_empty());
        held.map(|(id, upload)| format!("upload {id} with {} bytes", upload.bytes.len())).collect()
    }

    /// Removes all open uploads.
    pub fn forget_uploads(&mut self) {
        self.uploads.clear();
    }

    /// Deletes a blob, as if the store had lost it.
    pub fn lose(&mut self, blob: &Digest) {
        self.repositories.values_mut().for_each(|repository| drop(repository.blobs.remove(blob)));
    }

    /// Replaces the bytes of a blob.
    pub fn overwrite(&mut self, blob: &Digest, bytes: &Bytes) {
        for repository in self.repositories.values_mut() {
            repository.blobs.insert(*blob, bytes.clone());
        }
    }

    /// The content, a line for each entry.
    #[must_use]
    pub fn contents(&self) -> Vec<String> {
        let mut lines = self.open_uploads();
        for (name, repository) in &self.repositories {
            lines.push(name.clone());
            lines.extend(repository.blobs.keys().map(|digest| format!("{name} blob {digest}")));
            lines.extend(repository.manifests.keys().map(|digest| format!("{name} manifest {digest}")));
            lines.extend(repository.tags.iter().map(|(tag, digest)| format!("{name} tag {tag} {digest}")));
        }
        lines
    }
}
