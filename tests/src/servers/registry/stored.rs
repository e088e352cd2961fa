//! What a registry holds.

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

/// What has come of a blob.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    /// How many requests were about it: what comes of an older one is not taken.
    pub(super) turn: u64,
}

/// One repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// The blobs, by the digest they are stored under.
    pub blobs: BTreeMap<Digest, Bytes>,
    /// The manifests with their media types.
    pub manifests: BTreeMap<Digest, (String, Bytes)>,
    /// What each tag leads to.
    pub tags: BTreeMap<String, Digest>,
    /// The length of every blob that ever was there.
    seen: BTreeMap<Digest, usize>,
    /// The manifests that were put while it was believed that their bytes are there.
    linked: BTreeMap<Digest, String>,
}

impl Repository {
    /// Stores a manifest; one that is remembered only gets its link, as in distribution 2.
    pub(super) fn put_manifest(&mut self, digest: Digest, (media_type, bytes): (String, Bytes), remembers: bool) {
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

    /// How long a blob is that is there; and, with `remembers`, that was there once.
    pub(super) fn blob_length(&self, repository: &str, digest: &Digest, remembers: bool) -> Option<usize> {
        let repository = self.repositories.get(repository)?;
        let remembered = || repository.seen.get(digest).copied().filter(|_| remembers);
        repository.blobs.get(digest).map(Bytes::len).or_else(remembered)
    }

    pub(super) fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.repositories.get(repository)?.blobs.get(digest).cloned()
    }

    /// What a tag or a digest leads to.
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

    /// The uploads that hold bytes; one without any costs a registry nothing.
    #[must_use]
    pub fn open_uploads(&self) -> Vec<String> {
        let held = self.uploads.iter().filter(|(_, upload)| !upload.bytes.is_empty());
        held.map(|(id, upload)| format!("upload {id} with {} bytes", upload.bytes.len())).collect()
    }

    /// Gives every open upload up.
    pub fn forget_uploads(&mut self) {
        self.uploads.clear();
    }

    /// Deletes a blob, as a store that loses it.
    pub fn lose(&mut self, blob: &Digest) {
        self.repositories.values_mut().for_each(|repository| drop(repository.blobs.remove(blob)));
    }

    /// Puts other bytes in the place of a blob.
    pub fn overwrite(&mut self, blob: &Digest, bytes: &Bytes) {
        for repository in self.repositories.values_mut() {
            repository.blobs.insert(*blob, bytes.clone());
        }
    }

    /// Everything, one line each.
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
